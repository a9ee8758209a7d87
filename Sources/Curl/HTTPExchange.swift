import AsyncRuntime
import CLibcurl
import Foundation

/// HTTP requests and their answers, over libcurl: with URLSession on Linux neither a private CA nor a proxy with
/// credentials can be set for a session. Connections are kept and used again. Redirects are not followed: the requests
/// carry secrets.
///
/// How many go on at the same time is bounded for each purpose, domain and app (`RequestLimits`).
package final class HTTPExchange: Sendable {
    package struct Answer: Sendable {
        package let status: Int
        /// Names in lower case.
        package let headers: [String: String]
        package let body: Data
        /// Of the host; nil: a proxy stands before it.
        package let address: String?
    }

    /// Whether a domain answered a request.
    package struct Outcome: Sendable {
        package let domain: String
        package let began: ContinuousClock.Instant
        /// Why there was no answer; nil: there was one, whatever it says.
        package let failure: (any Error)?

        package init(domain: String, began: ContinuousClock.Instant, failure: (any Error)?) {
            self.domain = domain
            self.began = began
            self.failure = failure
        }
    }

    private let settings: NetworkSettings
    private let timeout: Duration
    private let limits = RequestLimits()
    private let addresses = AddressMemory()
    private let observe: @Sendable (Outcome) -> Void
    /// Handles with their connections. Each is in here or in use.
    private let idle = Mutex<[CurlHandle]>([])

    private static let maxIdle = 32

    package var isInsecureAllowed: Bool { settings.isInsecureAllowed }

    /// - Parameter timeout: of a request as a whole, its wait for its turn included.
    /// - Parameter observe: told of each request that was answered, and of those that were not, though they had at
    /// least
    ///   half of `timeout` after their turn came, and were not cancelled.
    package init(
        settings: NetworkSettings = NetworkSettings(), timeout: Duration = .seconds(10),
        observe: @escaping @Sendable (Outcome) -> Void = { _ in }
    ) {
        self.settings = settings
        self.timeout = timeout
        self.observe = observe
    }

    /// - Parameter app: whose request it is.
    /// - Parameter maxAnswerBytes: a larger body is a failure. JSON takes up to forty times its bytes in memory.
    /// - Throws: `ConnectionFailure`, `DeadlineExceeded`, `CancellationError`, `ConcurrencyLimit.TooManyWaiting`.
    package func send(
        _ method: String, _ url: URL, headers: [String: String] = [:], json: [String: any Sendable]? = nil,
        for purpose: RequestPurpose = .companion, of app: String = "",
        maxAnswerBytes: Int = 1 << 20
    ) async throws -> Answer {
        let deadline = Deadline.after(timeout)
        var headers = headers
        var body: Data?
        if let json {
            body = try JSONSerialization.data(withJSONObject: json, options: [.sortedKeys])
            headers["Content-Type"] = "application/json; charset=utf-8"
        }
        // Empty: libcurl asks for permission before it sends a large body, and waits a second for it.
        headers["Expect"] = ""
        try settings.refuseClear(to: url.host ?? "?", isSecure: url.scheme?.lowercased() == "https")
        // libcurl does not look: a line break in a value would begin another header.
        guard headers.allSatisfy({ Self.isPlain($0.key) && Self.isPlain($0.value) }) else {
            throw ConnectionFailure(
                host: url.host ?? "?", cause: .other, words: "a header with a control character is not sent")
        }
        let request = Request(method: method, url: url, headers: headers, body: body, maxAnswerBytes: maxAnswerBytes)
        let domain = Self.domain(of: url)
        return try await limits[purpose].run(
            for: ConcurrencyLimit.Caller(place: domain, app: app), until: deadline,
            operation: "waiting for a turn to reach \(url.host ?? "?")"
        ) {
            let began = ContinuousClock.now
            // A request whose turn came late can run out of time though the domain answers: that says nothing of it.
            let hasFairTime = began.duration(to: deadline.instant) * 2 >= timeout
            do {
                let answer = try await self.perform(request, until: deadline)
                observe(Outcome(domain: domain, began: began, failure: nil))
                return answer
            } catch {
                if !(error is CancellationError), hasFairTime {
                    observe(Outcome(domain: domain, began: began, failure: error))
                }
                throw error
            }
        }
    }

    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    /// Scheme, host and port: no path, no credentials.
    private static func domain(of url: URL) -> String {
        let port = url.port.map { ":\($0)" } ?? ""
        return "\(url.scheme?.lowercased() ?? "")://\(url.host?.lowercased() ?? "")\(port)"
    }

    private struct Request: Sendable {
        let method: String
        let url: URL
        let headers: [String: String]
        let body: Data?
        let maxAnswerBytes: Int
    }

    private func perform(_ request: Request, until deadline: Deadline) async throws -> Answer {
        let host = request.url.host ?? "?"
        let isSecure = request.url.scheme?.lowercased() == "https"
        let route = Route(to: host, isSecure: isSecure, settings: settings)
        let handle = try idle.withLock { $0.popLast() } ?? CurlHandle(host: host)
        // Keeps the connections.
        curl_easy_reset(handle.pointer)
        settings.apply(to: handle, isSecure: isSecure)
        handle.set(CURLOPT_URL, request.url.absoluteString)
        handle.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        handle.set(CURLOPT_USERAGENT, "lark-gateway")
        if let body = request.body {
            handle.set(CURLOPT_POSTFIELDSIZE, body.count)
            body.withUnsafeBytes { bytes in
                _ = lgw_curl_set_pointer(
                    handle.pointer, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            }
        }
        // Last: the body's option has set it to POST.
        handle.set(CURLOPT_CUSTOMREQUEST, request.method)
        let lines = HeaderLines(request.headers)
        _ = lgw_curl_set_pointer(handle.pointer, CURLOPT_HTTPHEADER, lines.list)
        let received = ReceivedAnswer(maxBodyBytes: request.maxAnswerBytes)
        received.collect(from: handle)
        // A handle that fails is not kept: what is left of its connection is of no use.
        let address = try await handle.perform(route, addresses, deadline: deadline)
        addresses.answered(address, of: route)
        withExtendedLifetime(lines) {}
        let isProxied = route.isProxy(port: Int(lgw_curl_primary_port(handle.pointer)))
        let answer = received.answer(
            status: lgw_curl_status(handle.pointer), address: isProxied ? nil : address)
        idle.withLock { if $0.count < Self.maxIdle { $0.append(handle) } }
        return answer
    }
}

/// A list of header lines, freed with it.
private final class HeaderLines: Sendable {
    // Made in `init`, never changed.
    nonisolated(unsafe) let list: UnsafeMutablePointer<curl_slist>?

    init(_ headers: [String: String]) {
        list = headers.reduce(nil) { curl_slist_append($0, "\($1.key): \($1.value)") }
    }

    deinit {
        curl_slist_free_all(list)
    }
}

/// What libcurl has received; filled on its thread while the request is performed, read when that is done.
private final class ReceivedAnswer: Sendable {
    private struct State {
        var headers: [String: String] = [:]
        var body = Data()
    }

    private let state = Mutex(State())
    private let maxBodyBytes: Int

    init(maxBodyBytes: Int) {
        self.maxBodyBytes = maxBodyBytes
    }

    func collect(from handle: CurlHandle) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = lgw_curl_set_pointer(handle.pointer, CURLOPT_WRITEDATA, context)
        _ = lgw_curl_set_pointer(handle.pointer, CURLOPT_HEADERDATA, context)
        _ = lgw_curl_set_write(handle.pointer, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let received = Unmanaged<ReceivedAnswer>.fromOpaque(context).takeUnretainedValue()
            return received.appendBody(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
        }
        _ = lgw_curl_set_write(handle.pointer, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            guard let context, let bytes else { return 0 }
            let received = Unmanaged<ReceivedAnswer>.fromOpaque(context).takeUnretainedValue()
            received.addHeader(
                String(decoding: UnsafeRawBufferPointer(start: bytes, count: size * count), as: UTF8.self))
            return size * count
        }
    }

    private func appendBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        state.withLock { state in
            guard state.body.count + bytes.count <= maxBodyBytes else { return false }
            state.body.append(contentsOf: bytes)
            return true
        }
    }

    private func addHeader(_ line: String) {
        state.withLock { state in
            // The answer before was an interim one.
            if line.hasPrefix("HTTP/") { state.headers = [:] }
            // By bytes, and no name without a bound: what Swift's strings compare or hash takes the square of combining
            // marks in a row.
            guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")),
                line.utf8.distance(from: line.startIndex, to: colon) <= 256
            else { return }
            let value = line[line.utf8.index(after: colon)...].trimmingCharacters(in: .whitespacesAndNewlines)
            state.headers[line[..<colon].lowercased()] = value
        }
    }

    func answer(status: Int, address: String?) -> HTTPExchange.Answer {
        state.withLock {
            HTTPExchange.Answer(status: status, headers: $0.headers, body: $0.body, address: address)
        }
    }
}
