import AsyncRuntime
import CLibcurl
import Foundation
import struct Synchronization.Atomic

/// One easy handle of libcurl.
final class CurlHandle: Sendable {
    /// Whether the task that waits for the handle has been cancelled; read by libcurl's progress callback.
    private final class Cancellation: Sendable {
        let isCancelled = Atomic(false)
    }

    // libcurl lets any thread use a handle, one at a time. Whoever made it or took it from a pool is its one user, and
    // hands it on only when a call has returned.
    nonisolated(unsafe) let pointer: UnsafeMutableRawPointer
    /// What CURLOPT_RESOLVE points to; of the handle's one user.
    nonisolated(unsafe) private var addresses: UnsafeMutablePointer<curl_slist>?

    private static let isInitialised = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// - Throws: `ConnectionFailure` when there is no memory.
    init(host: String) throws {
        guard Self.isInitialised, let pointer = curl_easy_init() else {
            throw ConnectionFailure(host: host, cause: .other, words: "libcurl can't be initialised")
        }
        self.pointer = pointer
    }

    deinit {
        curl_easy_cleanup(pointer)
        curl_slist_free_all(addresses)
    }

    func set(_ option: CURLoption, _ value: Int) {
        _ = lgw_curl_set_long(pointer, option, value)
    }

    /// libcurl takes a copy.
    func set(_ option: CURLoption, _ value: String?) {
        _ = lgw_curl_set_string(pointer, option, value)
    }

    /// libcurl takes a copy.
    func set(_ option: CURLoption, _ bytes: Data) {
        _ = bytes.withUnsafeBytes { lgw_curl_set_blob(pointer, option, $0.baseAddress, $0.count) }
    }

    func setAddresses(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        curl_slist_free_all(addresses)
        addresses = lines.reduce(nil) { curl_slist_append($0, $1) }
        _ = lgw_curl_set_pointer(pointer, CURLOPT_RESOLVE, addresses)
    }

    /// Does what the handle is set up for, on a thread of its own, until `deadline`. Of several addresses those that
    /// failed come last.
    /// - Parameter mustBePublic: no address of this machine or of a private network is connected to, but a proxy's.
    /// - Returns: the address that was connected to.
    /// - Throws: `ConnectionFailure`, `DeadlineExceeded`, `CancellationError` (within a second).
    func perform(
        _ route: Route, _ addresses: AddressMemory, mustBePublic: Bool = false, deadline: Deadline
    ) async throws -> String? {
        let cancellation = Cancellation()
        return try await withTaskCancellationHandler {
            // The caller bounds how many at a time.
            try await BlockingCall.run {
                Result { try self.performBlocking(route, addresses, mustBePublic, cancellation, deadline) }
            }.get()
        } onCancel: {
            cancellation.isCancelled.store(true, ordering: .relaxed)
        }
    }

    private func performBlocking(
        _ route: Route, _ addresses: AddressMemory, _ mustBePublic: Bool, _ cancellation: Cancellation,
        _ deadline: Deadline
    ) throws -> String? {
        if mustBePublic, let scope = AddressScope(host: route.host), scope != .internet {
            throw ConnectionFailure.notPublic(route.host, address: route.host)
        }
        var attempt = try attempt(
            route, avoiding: addresses.avoided(of: route), mustBePublic, cancellation, deadline)
        if attempt.code == CURLE_COULDNT_CONNECT, attempt.hasAvoided {
            // All others are worse.
            addresses.forget(route)
            attempt = try self.attempt(route, avoiding: [], mustBePublic, cancellation, deadline)
        }
        if attempt.code == CURLE_COULDNT_CONNECT, attempt.address == nil, let address = attempt.notPublic {
            throw ConnectionFailure.notPublic(route.host, address: address)
        }
        switch attempt.code {
        case CURLE_OK: return attempt.address
        case CURLE_ABORTED_BY_CALLBACK: throw CancellationError()
        case CURLE_OPERATION_TIMEDOUT:
            addresses.failed(attempt.address, of: route)
            throw DeadlineExceeded(operation: "reaching \(route.words(attempt.address))")
        default:
            let failure = ConnectionFailure(
                code: attempt.code, words: attempt.words, route: route, address: attempt.address,
                connectStatus: lgw_curl_connect_status(pointer))
            if failure.blamesTheAddress { addresses.failed(attempt.address, of: route) }
            throw failure
        }
    }

    private struct Attempt {
        let code: CURLcode
        let words: String
        let address: String?
        let hasAvoided: Bool
        let notPublic: String?
    }

    private func attempt(
        _ route: Route, avoiding avoided: Set<String>, _ mustBePublic: Bool, _ cancellation: Cancellation,
        _ deadline: Deadline
    ) throws -> Attempt {
        let milliseconds = deadline.remaining.milliseconds
        guard milliseconds > 0 else { throw DeadlineExceeded(operation: "reaching \(route.host)") }
        set(CURLOPT_TIMEOUT_MS, Int(milliseconds))
        set(CURLOPT_CONNECTTIMEOUT_MS, Int(milliseconds))
        let dialling = Dialling(route, avoiding: avoided, mustBePublic: mustBePublic)
        set(CURLOPT_NOPROGRESS, 0)
        _ = lgw_curl_set_pointer(pointer, CURLOPT_XFERINFODATA, Unmanaged.passUnretained(cancellation).toOpaque())
        _ = lgw_curl_set_progress(pointer) { context, _, _, _, _ in
            guard let context else { return 0 }
            let cancellation = Unmanaged<Cancellation>.fromOpaque(context).takeUnretainedValue()
            return cancellation.isCancelled.load(ordering: .relaxed) ? 1 : 0
        }
        let (code, words) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CURL_ERROR_SIZE)) { buffer in
            buffer.initialize(repeating: 0)
            _ = lgw_curl_set_pointer(pointer, CURLOPT_ERRORBUFFER, buffer.baseAddress)
            defer { _ = lgw_curl_set_pointer(pointer, CURLOPT_ERRORBUFFER, nil) }
            let code = withExtendedLifetime(cancellation) {
                dialling.withSockets(of: pointer) { curl_easy_perform(pointer) }
            }
            return (code, buffer.baseAddress.map { String(cString: $0) } ?? "")
        }
        set(CURLOPT_NOPROGRESS, 1)
        _ = lgw_curl_set_pointer(pointer, CURLOPT_XFERINFODATA, nil)
        let connected = String(cString: lgw_curl_primary_ip(pointer))
        return Attempt(
            code: code, words: words, address: connected.isEmpty ? dialling.lastAddress : connected,
            hasAvoided: dialling.refusals > 0, notPublic: dialling.notPublic)
    }
}
