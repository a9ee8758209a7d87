import AsyncRuntime
import CLibcurl

/// A connection that libcurl made (names, happy eyeballs, TLS, proxies) and whose bytes it moves without blocking
/// (CURLOPT_CONNECT_ONLY). Used by one task at a time: its owner is an actor.
package struct CurlSocket: Sendable {
    private let handle: CurlHandle
    /// The address that is connected to.
    package let address: String?
    /// Becomes readable and writable; not to be read, written or closed.
    package let descriptor: Int32

    package enum Received: Sendable {
        case bytes(Int)
        case nothing
        case endOfStream
        case failed(String)
    }

    package enum Sent: Sendable {
        case bytes(Int)
        case nothing
        case failed(String)
    }

    /// - Parameter url: http or https, without a path; its host alone stands in errors.
    /// - Parameter mustBePublic: no address of this machine or of a private network is connected to, but a proxy's.
    /// - Throws: `ConnectionFailure`, `DeadlineExceeded`, `CancellationError`.
    package static func connect(
        to url: String, route: Route, isSecure: Bool, settings: NetworkSettings, addresses: AddressMemory,
        mustBePublic: Bool = false, deadline: Deadline
    ) async throws -> CurlSocket {
        try settings.refuseClear(to: route.host, isSecure: isSecure)
        let handle = try CurlHandle(host: route.host)
        settings.apply(to: handle, isSecure: isSecure)
        handle.set(CURLOPT_URL, url)
        handle.set(CURLOPT_CONNECT_ONLY, 1)
        // Through a proxy, a WebSocket goes by CONNECT.
        handle.set(CURLOPT_HTTPPROXYTUNNEL, 1)
        // The upgrade is HTTP/1.1: a server that is offered h2 would take it.
        handle.set(CURLOPT_SSL_ENABLE_ALPN, 0)
        // Its own buffer is of no use to us: `receive` reads into ours.
        handle.set(CURLOPT_BUFFERSIZE, 1024)
        let address = try await handle.perform(
            route, addresses, mustBePublic: mustBePublic, deadline: deadline)
        var descriptor: curl_socket_t = -1
        guard lgw_curl_active_socket(handle.pointer, &descriptor) == CURLE_OK, descriptor >= 0 else {
            throw ConnectionFailure(host: route.host, cause: .other, words: "the connection ended at once")
        }
        return CurlSocket(handle: handle, address: address, descriptor: descriptor)
    }

    package func receive(into buffer: UnsafeMutableRawBufferPointer) -> Received {
        var count = 0
        let code = curl_easy_recv(handle.pointer, buffer.baseAddress, buffer.count, &count)
        switch code {
        case CURLE_OK: return count == 0 ? .endOfStream : .bytes(count)
        case CURLE_AGAIN: return .nothing
        default: return .failed(String(cString: curl_easy_strerror(code)))
        }
    }

    /// - Parameter bytes: when it returns `.nothing`, the next call must have the same ones, at the same address (TLS).
    package func send(_ bytes: UnsafeRawBufferPointer) -> Sent {
        var count = 0
        let code = curl_easy_send(handle.pointer, bytes.baseAddress, bytes.count, &count)
        switch code {
        case CURLE_OK: return .bytes(count)
        case CURLE_AGAIN: return .nothing
        default: return .failed(String(cString: curl_easy_strerror(code)))
        }
    }
}
