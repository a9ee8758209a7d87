import CEpoll

/// One thread that waits for every descriptor of the process (epoll(7)).
///
/// Not DispatchSource: on Linux, libdispatch (Swift 6.3) takes a source away for good with the first event that says
/// hang up, and unregistering such sources from two queues corrupts its lists: 8 queues that open a socket pair, hang
/// up and cancel, over and over, crash within seconds in `_dispatch_unote_unregister_muxed`.
final class Poller: Sendable {
    static let shared = Poller()

    /// Names a registration. Never used twice, so that an event that comes late is nobody's.
    typealias Token = UInt64

    private static let batch = 256
    /// In `top -H` and /proc/PID/task/TID/comm.
    private static let threadName = "sockets"

    private struct State {
        var nextToken: Token = 1
        var handlers: [Token: @Sendable (_ reads: Bool, _ writes: Bool) -> Void] = [:]
    }

    private let descriptor = lgw_epoll_create()
    private let state = Mutex(State())

    private init() {
        BlockingCall.start(name: Self.threadName) { [self] in run() }
    }

    /// Registers a descriptor, armed for nothing. `handler` is called on the poller's thread and must not block.
    func register(_ watched: Int32, handler: @escaping @Sendable (_ reads: Bool, _ writes: Bool) -> Void) -> Token {
        let token = state.withLock { state in
            defer { state.nextToken += 1 }
            state.handlers[state.nextToken] = handler
            return state.nextToken
        }
        control(lgw_epoll_add, watched, token)
        return token
    }

    /// Asks for one event; replaces what was asked for before. What is ready already is an event.
    func arm(_ watched: Int32, _ token: Token, read: Bool, write: Bool) {
        control(lgw_epoll_modify, watched, token, read: read, write: write)
    }

    /// Call before the descriptor is closed.
    func remove(_ watched: Int32, _ token: Token) {
        control(lgw_epoll_delete, watched, token)
        _ = state.withLock { $0.handlers.removeValue(forKey: token) }
    }

    private func control(
        _ operation: some BinaryInteger, _ watched: Int32, _ token: Token, read: Bool = false, write: Bool = false
    ) {
        _ = lgw_epoll_control(descriptor, Int32(operation), watched, read ? 1 : 0, write ? 1 : 0, token)
    }

    private func run() {
        // Memory of its own instead of an array: in release builds (Swift 6.3), a loop that never returns and iterates
        // a slice of an array that it also passes with `&` loses a buffer at each turn, some 4 KiB for each wake-up.
        let ready = UnsafeMutablePointer<lgw_epoll_ready>.allocate(capacity: Self.batch)
        while true {
            let count = Int(lgw_epoll_wait(descriptor, ready, Int32(Self.batch)))
            for index in 0..<max(0, count) {
                let event = ready[index]
                state.withLock { $0.handlers[event.token] }?(event.reads != 0, event.writes != 0)
            }
        }
    }
}
