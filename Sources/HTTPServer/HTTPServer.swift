import AsyncRuntime
import CLibmicrohttpd
import Foundation

/// A thin face of libmicrohttpd: each request is handed whole to an asynchronous handler; its connection is suspended
/// until the answer is there, so a slow handler blocks nobody.
package final class HTTPServer: Sendable {
    package typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

    /// What libmicrohttpd's thread and our tasks share.
    fileprivate final class Shared: Sendable {
        struct State {
            var underWay = 0
            var isStopping = false
            var nextSocket = 0
            var sockets: [Int: UpgradedSocket] = [:]
            var nextConnection = 0
            /// The descriptors of all connections; libmicrohttpd closes one only after it is out of here.
            var connections: [Int: Int32] = [:]
            var clock: RequestClock
        }

        let handler: Handler
        let limits: HTTPServerLimits
        let state: Mutex<State>
        let idle = Doorbell()
        /// The first connection that owes a request is there.
        let isOwed = Doorbell()

        init(limits: HTTPServerLimits, handler: @escaping Handler) {
            self.limits = limits
            self.handler = handler
            state = Mutex(State(clock: RequestClock(patience: limits.requestPatience ?? .zero)))
        }

        /// - Returns: its number, above 0.
        func opened(_ descriptor: Int32) -> Int {
            let id = state.withLock { state in
                state.nextConnection += 1
                state.connections[state.nextConnection] = descriptor
                return state.nextConnection
            }
            owesRequest(id)
            return id
        }

        func closed(_ connection: Int) {
            state.withLock { state in
                state.connections[connection] = nil
                state.clock.end(connection)
            }
        }

        func owesRequest(_ connection: Int) {
            guard limits.requestPatience != nil else { return }
            let isFirst = state.withLock { state in
                defer { state.clock.begin(connection, .now) }
                return state.clock.isIdle
            }
            if isFirst { isOwed.ring() }
        }

        func cameWhole(_ connection: Int) {
            state.withLock { $0.clock.end(connection) }
        }

        /// Ends connections whose time for a request is over, until the task is cancelled.
        func keepTime(_ patience: Duration) async {
            let look = min(.seconds(1), patience / 4)
            while !Task.isCancelled {
                if state.withLock({ $0.clock.isIdle }) { await isOwed.wait() }
                await Alarm.wait(until: .after(look))
                state.withLock { state in
                    // libmicrohttpd sees the end of the stream, and closes.
                    for id in state.clock.takeOverdue(.now) {
                        if let descriptor = state.connections[id] { shutdown(descriptor, Int32(SHUT_RDWR)) }
                    }
                }
            }
        }

        /// - Returns: false when the server is stopping.
        func begin() -> Bool {
            state.withLock { state in
                guard !state.isStopping else { return false }
                state.underWay += 1
                return true
            }
        }

        func end() {
            state.withLock { $0.underWay -= 1 }
            idle.ring()
        }

        func forget(_ id: Int) {
            _ = state.withLock { $0.sockets.removeValue(forKey: id) }
            idle.ring()
        }
    }

    private let shared: Shared
    private let timekeeper: Task<Void, Never>?
    // The daemon is thread-safe, made in `init` and stopped once (guarded by `isStopping`).
    nonisolated(unsafe) private let daemon: OpaquePointer
    /// The port in use, also where 0 was asked for.
    package let port: Int

    /// Methods, paths and names of headers are compared and hashed; for Swift's strings that takes the square of
    /// combining marks in a row. libmicrohttpd's own bound is 32 KiB for the whole head.
    fileprivate static let maxPathBytes = 2_048
    fileprivate static let maxNameBytes = 256

    /// Listens at once.
    /// - Parameter host: an IPv4 address.
    /// - Parameter tls: nil: plain HTTP.
    /// - Throws: `HTTPServerError`.
    package init(
        host: String, port: Int, tls: TLSIdentity? = nil, limits: HTTPServerLimits = HTTPServerLimits(),
        handler: @escaping Handler
    ) throws {
        let shared = Shared(limits: limits, handler: handler)
        self.shared = shared
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        guard (0...65_535).contains(port), inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
            throw HTTPServerError(address: "\(host):\(port)", reason: "not an IPv4 address and port")
        }
        // libmicrohttpd's own reference: its thread lives until the daemon is stopped, also when nobody holds us any
        // more.
        let reference = Unmanaged.passRetained(shared)
        let context = reference.toOpaque()
        let daemon = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                let bounds = lgw_http_bounds(
                    connections: UInt32(limits.maxConnections), per_address: UInt32(limits.maxConnectionsPerAddress),
                    idle_seconds: UInt32(limits.idleSeconds))
                guard let tls else {
                    return lgw_http_start($0, handleAccess, context, requestCompleted, connectionChanged, bounds)
                }
                return lgw_http_start_tls(
                    $0, handleAccess, context, requestCompleted, connectionChanged, bounds, tls.certificates, tls.key,
                    tls.priorities)
            }
        }
        guard let daemon else {
            reference.release()
            throw HTTPServerError(address: "\(host):\(port)", reason: String(cString: strerror(errno)))
        }
        self.daemon = daemon
        self.port = Int(lgw_http_port(daemon))
        timekeeper = limits.requestPatience.map { patience in Task { await shared.keepTime(patience) } }
    }

    deinit {
        timekeeper?.cancel()
        Task { [shared, bits = UInt(bitPattern: daemon)] in await Self.stop(shared, daemon: bits) }
    }

    /// Stops listening, waits for the requests under way and ends upgraded connections. A server that is let go without
    /// it stops a little later.
    package func stop() async {
        await Self.stop(shared, daemon: UInt(bitPattern: daemon))
        timekeeper?.cancel()
    }

    private static func stop(_ shared: Shared, daemon bits: UInt) async {
        let sockets = shared.state.withLock { state -> [UpgradedSocket]? in
            guard !state.isStopping else { return nil }
            state.isStopping = true
            return Array(state.sockets.values)
        }
        guard let sockets else { return }
        for socket in sockets { socket.close() }
        let deadline = Deadline.after(.seconds(10))
        while shared.state.withLock({ $0.underWay > 0 || !$0.sockets.isEmpty }), !deadline.hasPassed {
            await shared.idle.wait(atMost: .milliseconds(100))
        }
        // Joins libmicrohttpd's thread.
        await BlockingCall.run { MHD_stop_daemon(OpaquePointer(bitPattern: bits)) }
        Unmanaged.passUnretained(shared).release()
    }
}

/// One request, from its first byte to its end. Touched by libmicrohttpd's thread only, except `response`.
private final class RequestContext: Sendable {
    struct State {
        var body: [UInt8] = []
        var isTooLarge = false
        var isHandled = false
        /// Counted among those that a stop waits for, until its answer is written or its client gone.
        var isUnderWay = false
        var response: HTTPResponse?
    }

    let state = Mutex(State())
}

private func handleAccess(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ upload: UnsafePointer<CChar>?,
    _ uploadSize: UnsafeMutablePointer<Int>?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let context, let connection, let url, let method, let uploadSize, let slot else { return lgw_http_no }
    let shared = Unmanaged<HTTPServer.Shared>.fromOpaque(context).takeUnretainedValue()
    guard let known = slot.pointee else {
        slot.pointee = Unmanaged.passRetained(RequestContext()).toOpaque()
        // Before libmicrohttpd asks for the body, which it then does not read.
        guard shared.limits.maxBodyBytes > 0 || !announcesBody(connection) else {
            return queue(.tooLarge, on: connection, shared)
        }
        return lgw_http_yes
    }
    let request = Unmanaged<RequestContext>.fromOpaque(known).takeUnretainedValue()
    if uploadSize.pointee > 0 {
        let bytes = UnsafeRawBufferPointer(start: upload, count: uploadSize.pointee)
        request.state.withLock { state in
            if state.body.count + bytes.count > shared.limits.maxBodyBytes { state.isTooLarge = true }
            if !state.isTooLarge { state.body += bytes }
        }
        uploadSize.pointee = 0
        return lgw_http_yes
    }
    shared.cameWhole(number(of: connection))
    let (isHandled, isTooLarge, body, response) = request.state.withLock { state in
        defer { state.isHandled = true }
        return (state.isHandled, state.isTooLarge, state.body, state.response)
    }
    if let response { return queue(response, on: connection, shared) }
    if isTooLarge { return queue(.tooLarge, on: connection, shared) }
    guard strlen(url) <= HTTPServer.maxPathBytes else {
        return queue(.text("the path is too long\n", status: 414), on: connection, shared)
    }
    guard !isHandled else { return lgw_http_yes }
    guard shared.begin() else { return queue(.text("stopping\n", status: 503), on: connection, shared) }
    request.state.withLock { $0.isUnderWay = true }
    // %00 in the path is left as it came (lgw_http_unescape): the C string would end there, and be another path.
    let parsed = HTTPRequest(
        method: strlen(method) <= HTTPServer.maxNameBytes ? String(cString: method) : "", path: String(cString: url),
        query: values(of: connection, lgw_http_arguments, areHeaders: false),
        headers: values(of: connection, lgw_http_headers, areHeaders: true), body: body,
        clientAddress: address(of: connection))
    MHD_suspend_connection(connection)
    let bits = UInt(bitPattern: connection)
    Task {
        let response = await shared.handler(parsed)
        request.state.withLock { $0.response = response }
        MHD_resume_connection(OpaquePointer(bitPattern: bits))
    }
    return lgw_http_yes
}

private func requestCompleted(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_RequestTerminationCode
) {
    guard let context, let slot, let known = slot.pointee else { return }
    let request = Unmanaged<RequestContext>.fromOpaque(known).takeRetainedValue()
    slot.pointee = nil
    let shared = Unmanaged<HTTPServer.Shared>.fromOpaque(context).takeUnretainedValue()
    if let connection { shared.owesRequest(number(of: connection)) }
    if request.state.withLock({ $0.isUnderWay }) { shared.end() }
}

/// Of libmicrohttpd's thread: a connection begins or has ended. Its number stands in `slot`.
private func connectionChanged(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_ConnectionNotificationCode
) {
    guard let context, let connection, let slot else { return }
    let shared = Unmanaged<HTTPServer.Shared>.fromOpaque(context).takeUnretainedValue()
    if code == lgw_http_connection_started {
        slot.pointee = UnsafeMutableRawPointer(bitPattern: shared.opened(lgw_http_descriptor(connection)))
    } else {
        shared.closed(Int(bitPattern: slot.pointee))
        slot.pointee = nil
    }
}

/// What `connectionChanged` has given it.
private func number(of connection: OpaquePointer) -> Int {
    Int(bitPattern: lgw_http_connection_slot(connection))
}

private func announcesBody(_ connection: OpaquePointer) -> Bool {
    func header(_ name: String) -> String? {
        MHD_lookup_connection_value(connection, lgw_http_headers, name).map { String(cString: $0) }
    }
    // libmicrohttpd takes nothing but digits for a length.
    return header("Transfer-Encoding") != nil
        || header("Content-Length").map { $0.utf8.contains { $0 != UInt8(ascii: "0") } } == true
}

private func address(of connection: OpaquePointer) -> String {
    var text = [CChar](repeating: 0, count: Int(INET_ADDRSTRLEN))
    guard lgw_http_client_address(connection, &text, socklen_t(text.count)) != nil else { return "" }
    return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } } ?? ""
}

/// In the order of arrival, so that which of two counts never changes: the last of two arguments of one name; of header
/// lines, in whatever spelling, all of them in one list (RFC 9110, section 5.3).
private func values(of connection: OpaquePointer, _ kind: MHD_ValueKind, areHeaders: Bool) -> [String: String] {
    final class Collected {
        let areHeaders: Bool
        var values: [String: String] = [:]

        init(areHeaders: Bool) {
            self.areHeaders = areHeaders
        }

        func add(_ name: String, _ value: String) {
            guard areHeaders else { return values[name] = value }
            let name = name.lowercased()
            if values[name] == nil { values[name] = value } else { values[name]?.append(", \(value)") }
        }
    }
    let collected = Collected(areHeaders: areHeaders)
    MHD_get_connection_values(
        connection, kind,
        { context, _, key, value in
            guard let context, let key, strlen(key) <= HTTPServer.maxNameBytes else { return lgw_http_yes }
            Unmanaged<Collected>.fromOpaque(context).takeUnretainedValue()
                .add(String(cString: key), value.map { String(cString: $0) } ?? "")
            return lgw_http_yes
        }, Unmanaged.passUnretained(collected).toOpaque())
    return collected.values
}

/// What an upgrade needs when libmicrohttpd hands the socket over.
private final class Upgrade: Sendable {
    let shared: HTTPServer.Shared
    let takeOver: @Sendable (UpgradedSocket) -> Void

    init(_ shared: HTTPServer.Shared, _ takeOver: @escaping @Sendable (UpgradedSocket) -> Void) {
        self.shared = shared
        self.takeOver = takeOver
    }
}

private func queue(
    _ answer: HTTPResponse, on connection: OpaquePointer, _ shared: HTTPServer.Shared
) -> MHD_Result {
    let response: OpaquePointer?
    if let takeOver = answer.upgrade {
        let upgrade = Unmanaged.passRetained(Upgrade(shared, takeOver)).toOpaque()
        response = MHD_create_response_for_upgrade(
            { context, _, _, early, earlySize, descriptor, handle in
                guard let context, let handle else { return }
                let upgrade = Unmanaged<Upgrade>.fromOpaque(context).takeRetainedValue()
                let shared = upgrade.shared
                let bytes = early.map { Array(UnsafeRawBufferPointer(start: $0, count: earlySize)) } ?? []
                let socket = shared.state.withLock { state in
                    let id = state.nextSocket
                    state.nextSocket += 1
                    let socket = UpgradedSocket(descriptor: descriptor, handle: handle, early: bytes) {
                        shared.forget(id)
                    }
                    state.sockets[id] = socket
                    return socket
                }
                upgrade.takeOver(socket)
                if shared.state.withLock({ $0.isStopping }) { socket.close() }
            }, upgrade)
    } else if answer.isCutOff {
        response = lgw_http_cut_off_response(answer.body, answer.body.count)
    } else {
        response = answer.body.withUnsafeBytes { bytes in
            MHD_create_response_from_buffer(
                bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress), lgw_http_copy)
        }
    }
    guard let response else { return lgw_http_no }
    defer { MHD_destroy_response(response) }
    for (name, value) in answer.headers { MHD_add_response_header(response, name, value) }
    return MHD_queue_response(connection, UInt32(answer.status), response)
}
