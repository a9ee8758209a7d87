import Dispatch
import Glibc

/// Waits until a descriptor can be read or written. One wait per direction at a time: a second one ends the first as
/// cancelled.
///
/// It watches a duplicate of the descriptor: a library may close its own at any time (libpq does when the server hangs
/// up), and the number would be somebody else's then.
package final class SocketReadiness: Sendable {
    package enum Direction: Int, Sendable { case read = 0, write = 1 }
    package enum Outcome: Sendable { case ready, deadlineExceeded, cancelled, invalidated }

    private struct Waiter {
        let id: UInt64
        let deadline: Deadline?
        let continuation: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var nextID: UInt64 = 0
        var waiters: [Waiter?] = [nil, nil]
        /// A cancellation that came before its waiter was in place.
        var cancelledEarly: UInt64?
        /// nil before the first wait.
        var token: Poller.Token?
        var isInvalidated = false
        var timers: [Timer?] = [nil, nil]
    }

    /// A dispatch timer may be scheduled and cancelled from any thread; it is only used under the lock.
    private struct Timer: @unchecked Sendable {
        let source: any DispatchSourceTimer
    }

    private let state = Mutex(State())
    private let descriptor: Int32
    private static let timerQueue = DispatchQueue(label: "deadlines")

    package init(descriptor original: Int32) {
        descriptor = fcntl(original, F_DUPFD_CLOEXEC, 0)
    }

    deinit {
        invalidate()
    }

    /// Returns as soon as the descriptor is ready, the deadline has passed, the task is cancelled or the object is
    /// invalidated, whichever is first. Ready means that a read or write will not block: the end of the stream, too.
    package func wait(for direction: Direction, until deadline: Deadline?) async -> Outcome {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                register(direction, Waiter(id: id, deadline: deadline, continuation: continuation))
            }
        } onCancel: {
            finish(direction, id: id, .cancelled)
        }
    }

    /// Ends every wait with `.invalidated`, for good. Later calls do nothing.
    package func invalidate() {
        let waiters = state.withLock { state -> [Waiter?] in
            guard !state.isInvalidated else { return [] }
            state.isInvalidated = true
            if let token = state.token { Poller.shared.remove(descriptor, token) }
            if descriptor >= 0 { close(descriptor) }
            for timer in state.timers { timer?.source.cancel() }
            defer { state.waiters = [nil, nil] }
            return state.waiters
        }
        for waiter in waiters { waiter?.continuation.resume(returning: .invalidated) }
    }

    private func register(_ direction: Direction, _ waiter: Waiter) {
        let (early, replaced): (Outcome?, Waiter?) = state.withLock { state in
            // Without a duplicate (no descriptor is left in the process) nothing can be waited for.
            if state.isInvalidated || descriptor < 0 { return (.invalidated, nil) }
            if state.cancelledEarly == waiter.id {
                state.cancelledEarly = nil
                return (.cancelled, nil)
            }
            let replaced = state.waiters[direction.rawValue]
            state.waiters[direction.rawValue] = waiter
            setTimer(direction, waiter.deadline, &state)
            arm(&state)
            return (nil, replaced)
        }
        replaced?.continuation.resume(returning: .cancelled)
        if let early { waiter.continuation.resume(returning: early) }
    }

    /// Asks the poller for what is waited for.
    private func arm(_ state: inout State) {
        let token =
            state.token
            ?? Poller.shared.register(descriptor) { [weak self] reads, writes in
                if reads { self?.finish(.read, id: nil, .ready) }
                if writes { self?.finish(.write, id: nil, .ready) }
            }
        state.token = token
        let (read, write) = (state.waiters[0] != nil, state.waiters[1] != nil)
        if read || write { Poller.shared.arm(descriptor, token, read: read, write: write) }
    }

    private func setTimer(_ direction: Direction, _ deadline: Deadline?, _ state: inout State) {
        guard let deadline else {
            state.timers[direction.rawValue]?.source.schedule(deadline: .distantFuture)
            return
        }
        let known = state.timers[direction.rawValue]
        let timer = known ?? Timer(source: DispatchSource.makeTimerSource(queue: Self.timerQueue))
        timer.source.schedule(deadline: .now() + deadline.remaining.dispatchInterval, leeway: .milliseconds(1))
        guard known == nil else { return }
        timer.source.setEventHandler { [weak self] in self?.finish(direction, id: nil, .deadlineExceeded) }
        timer.source.activate()
        state.timers[direction.rawValue] = timer
    }

    /// Ends the wait of a direction, once; of `id` alone where it is given.
    private func finish(_ direction: Direction, id: UInt64?, _ outcome: Outcome) {
        let waiter: Waiter? = state.withLock { state in
            guard let waiter = state.waiters[direction.rawValue], id == nil || waiter.id == id else {
                if let id, outcome == .cancelled { state.cancelledEarly = id }
                return nil
            }
            // A timer event that was under way when the wait before ended.
            if outcome == .deadlineExceeded, let deadline = waiter.deadline, !deadline.hasPassed {
                setTimer(direction, deadline, &state)
                return nil
            }
            state.waiters[direction.rawValue] = nil
            if waiter.deadline != nil { setTimer(direction, nil, &state) }
            // One event was asked for, for both directions: the other one still waits.
            arm(&state)
            return waiter
        }
        waiter?.continuation.resume(returning: outcome)
    }
}
