import CEpoll
import Glibc

/// Waits for the end of a process that need not be a child of ours.
package enum ProcessEnd {
    /// How the end is noticed. `descriptor` falls back to `polling` where the kernel gives no descriptor (before 5.3,
    /// or none are left).
    package enum Method: Sendable {
        case descriptor
        case polling(every: Duration)
    }

    private static let pollInterval = Duration.seconds(1)

    /// - Returns: true when the process has ended, also when there has been none; false when the task was cancelled.
    package static func wait(for pid: pid_t, by method: Method = .descriptor) async -> Bool {
        switch method {
        case .descriptor:
            let descriptor = lgw_pidfd_open(pid)
            guard descriptor >= 0 else {
                return errno == ESRCH ? true : await poll(pid, every: pollInterval)
            }
            defer { close(descriptor) }
            let readiness = SocketReadiness(descriptor: descriptor)
            let outcome = await readiness.wait(for: .read, until: nil)
            readiness.invalidate()
            switch outcome {
            case .ready:
                reap(pid)
                return true
            case .cancelled: return false
            case .invalidated, .deadlineExceeded: return await poll(pid, every: pollInterval)
            }
        case .polling(let interval): return await poll(pid, every: interval)
        }
    }

    private static func poll(_ pid: pid_t, every interval: Duration) async -> Bool {
        while !Task.isCancelled {
            reap(pid)
            // EPERM: it lives, as another user.
            if kill(pid, 0) != 0, errno == ESRCH { return true }
            try? await Task.sleep(for: interval)
        }
        return false
    }

    /// Where we are the first process of a container, what a child left behind is ours, and would stay a zombie that
    /// counts as running. No effect on anything else: a child that `ChildProcess` waits for is never given here.
    private static func reap(_ pid: pid_t) {
        waitpid(pid, nil, WNOHANG)
    }
}
