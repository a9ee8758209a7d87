import AsyncRuntime
import CLibcurl
import Foundation
import Synchronization

/// WebSocket over libcurl's CONNECT_ONLY: the library makes the connection (DNS, happy eyeballs, TLS, proxies) and
/// moves the bytes without blocking; RFC 6455 is ours. See README, "Why libcurl carries the socket".
package struct CurlTransport: WebSocketTransport {
    package let name = "libcurl"

    package init() {}

    package func connect(
        to url: URL, options: WebSocketOptions, deadline: Deadline
    ) async throws -> any WebSocketConnection {
        let target = try Target(url)
        let socket = try await CurlSocket.connect(to: target.connectURL, deadline: deadline)
        let connection = CurlWebSocketConnection(socket: socket, options: options)
        do {
            try await connection.shakeHands(target, deadline: deadline)
            return connection
        } catch {
            await connection.abort()
            throw error
        }
    }

    /// What a ws or wss URL says, in the terms of libcurl and of HTTP.
    struct Target {
        /// http or https, without path and query.
        let connectURL: String
        let host: String
        let requestTarget: String

        init(_ url: URL) throws {
            guard var parts = URLComponents(url: url, resolvingAgainstBaseURL: false), let host = parts.host,
                !host.isEmpty, let scheme = parts.scheme?.lowercased(), scheme == "ws" || scheme == "wss"
            else { throw WebSocketError.unsupportedURL(url.scheme ?? "no scheme") }
            let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
            requestTarget = path + (parts.percentEncodedQuery.map { "?" + $0 } ?? "")
            let isDefaultPort = parts.port == nil || parts.port == (scheme == "ws" ? 80 : 443)
            // URLComponents keeps the brackets of an IPv6 address.
            self.host = host + (isDefaultPort ? "" : ":\(parts.port ?? 0)")
            parts.scheme = scheme == "ws" ? "http" : "https"
            parts.percentEncodedPath = "/"
            parts.percentEncodedQuery = nil
            parts.fragment = nil
            guard let connectURL = parts.string else { throw WebSocketError.unsupportedURL(scheme) }
            self.connectURL = connectURL
        }
    }
}

/// A connected libcurl handle. Used by one task at a time: its owner is an actor.
struct CurlSocket: Sendable {
    /// Whether what holds the handle has been told to stop; read by libcurl's progress callback.
    private final class Cancellation: Sendable {
        let isCancelled = Atomic(false)
    }

    // libcurl lets any thread use an easy handle, one at a time: connecting uses it on one thread until it is done, and
    // then hands it to the one actor that owns this value.
    nonisolated(unsafe) let handle: UnsafeMutableRawPointer
    let descriptor: Int32

    private static let isInitialised = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    static func connect(to url: String, deadline: Deadline) async throws -> CurlSocket {
        let cancellation = Cancellation()
        return try await withTaskCancellationHandler {
            // The caller bounds how many at a time.
            try await BlockingCall.run { Result { try connectBlocking(to: url, cancellation, deadline) } }.get()
        } onCancel: {
            cancellation.isCancelled.store(true, ordering: .relaxed)
        }
    }

    private static func connectBlocking(
        to url: String, _ cancellation: Cancellation, _ deadline: Deadline
    ) throws -> CurlSocket {
        guard isInitialised, let handle = curl_easy_init() else {
            throw WebSocketError.unreachable("libcurl can't be initialised")
        }
        let milliseconds = deadline.remaining.milliseconds
        guard milliseconds > 0 else {
            curl_easy_cleanup(handle)
            throw DeadlineExceeded(operation: "connecting")
        }
        _ = lgw_curl_set_string(handle, CURLOPT_URL, url)
        _ = lgw_curl_set_long(handle, CURLOPT_CONNECT_ONLY, 1)
        _ = lgw_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, Int(milliseconds))
        _ = lgw_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = lgw_curl_set_long(handle, CURLOPT_TCP_NODELAY, 1)
        _ = lgw_curl_set_long(handle, CURLOPT_TCP_KEEPALIVE, 1)
        // Through a proxy, a WebSocket goes by CONNECT.
        _ = lgw_curl_set_long(handle, CURLOPT_HTTPPROXYTUNNEL, 1)
        // The upgrade is HTTP/1.1: a server that is offered h2 would take it.
        _ = lgw_curl_set_long(handle, CURLOPT_SSL_ENABLE_ALPN, 0)
        _ = lgw_curl_set_long(handle, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        _ = lgw_curl_set_long(handle, CURLOPT_NOPROGRESS, 0)
        let context = Unmanaged.passUnretained(cancellation).toOpaque()
        _ = lgw_curl_set_pointer(handle, CURLOPT_XFERINFODATA, context)
        _ = lgw_curl_set_progress(handle) { context, _, _, _, _ in
            guard let context else { return 0 }
            let cancellation = Unmanaged<Cancellation>.fromOpaque(context).takeUnretainedValue()
            return cancellation.isCancelled.load(ordering: .relaxed) ? 1 : 0
        }
        var words = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
        let code = words.withUnsafeMutableBufferPointer { words in
            _ = lgw_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, words.baseAddress)
            defer { _ = lgw_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, nil) }
            return withExtendedLifetime(cancellation) { curl_easy_perform(handle) }
        }
        _ = lgw_curl_set_long(handle, CURLOPT_NOPROGRESS, 1)
        var descriptor: curl_socket_t = -1
        guard code == CURLE_OK, lgw_curl_active_socket(handle, &descriptor) == CURLE_OK, descriptor >= 0 else {
            curl_easy_cleanup(handle)
            if code == CURLE_ABORTED_BY_CALLBACK { throw CancellationError() }
            if code == CURLE_OPERATION_TIMEDOUT { throw DeadlineExceeded(operation: "connecting") }
            let detail = String(decoding: words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw WebSocketError.unreachable(detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail)
        }
        return CurlSocket(handle: handle, descriptor: descriptor)
    }
}
