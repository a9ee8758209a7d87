import Glibc

/// Tells whether what waits for sockets is at work: a pair of sockets with nothing in it, which can always be
/// written.
package final class SocketEcho: Sendable {
    private let ends: [Int32]
    private let readiness: SocketReadiness

    package init() {
        var ends: [Int32] = [-1, -1]
        // Without descriptors there is nothing to wait for: `wait` returns at once.
        _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends)
        self.ends = ends
        readiness = SocketReadiness(descriptor: ends[0])
    }

    deinit {
        readiness.invalidate()
        for end in ends where end >= 0 { close(end) }
    }

    /// Returns when the poller has reported the socket, or the task is cancelled. One wait at a time.
    package func wait() async {
        _ = await readiness.wait(for: .write, until: nil)
    }
}
