import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Waits until a descriptor can be read or written. One wait per direction at a time: a second one ends the first as
/// cancelled.
///
/// It watches a duplicate of the descriptor: a library may close its own at any time (libpq does when the server hangs
/// up), and libdispatch, which knows sources by their number, would mix up the next descriptor of that number with it.
///
/// Each wait asks poll(2) first: on Linux, libdispatch takes a source away for good with the first event that says hang
/// up, though there may be bytes to read before the end of the stream.
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
        var invalidated = false
    }

    private let state = Mutex(State())
    // Dispatch sources are thread-safe objects of libdispatch (retain, resume, suspend and cancel may come from any
    // thread); Swift has not annotated them. They are made in `init` and never replaced.
    nonisolated(unsafe) private let sources: [any DispatchSourceProtocol]
    nonisolated(unsafe) private let timers: [any DispatchSourceTimer]

    private let descriptor: Int32

    package init(descriptor original: Int32, queue: DispatchQueue) {
        // Where no descriptor is left, the original is better than none.
        let duplicate = fcntl(original, F_DUPFD_CLOEXEC, 0)
        descriptor = duplicate
        let watched = duplicate >= 0 ? duplicate : original
        let read = DispatchSource.makeReadSource(fileDescriptor: watched, queue: queue)
        let write = DispatchSource.makeWriteSource(fileDescriptor: watched, queue: queue)
        sources = [read, write]
        timers = [DispatchSource.makeTimerSource(queue: queue), DispatchSource.makeTimerSource(queue: queue)]
        for direction in [Direction.read, .write] {
            sources[direction.rawValue].setEventHandler { [weak self] in self?.finish(direction, id: nil, .ready) }
            timers[direction.rawValue].setEventHandler { [weak self] in
                self?.finish(direction, id: nil, .deadlineExceeded)
            }
            timers[direction.rawValue].schedule(deadline: .distantFuture)
            timers[direction.rawValue].activate()
        }
    }

    /// Suspended sources must be resumed before they are cancelled and released.
    deinit {
        invalidate {}
    }

    /// Returns as soon as the descriptor is ready, the deadline has passed, the task is cancelled or the object is
    /// invalidated, whichever is first. Ready wins over a deadline that has passed already.
    package func wait(for direction: Direction, until deadline: Deadline?) async -> Outcome {
        if isReady(direction) { return .ready }
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

    private func isReady(_ direction: Direction) -> Bool {
        state.withLock { state in
            // Once it is invalidated the number may be somebody else's.
            guard !state.invalidated, descriptor >= 0 else { return false }
            var request = pollfd(fd: descriptor, events: Int16(direction == .read ? POLLIN : POLLOUT), revents: 0)
            return poll(&request, 1, 0) > 0
        }
    }

    private func register(_ direction: Direction, _ waiter: Waiter) {
        let (early, replaced): (Outcome?, Waiter?) = state.withLock { state in
            if state.invalidated { return (.invalidated, nil) }
            if state.cancelledEarly == waiter.id {
                state.cancelledEarly = nil
                return (.cancelled, nil)
            }
            let replaced = state.waiters[direction.rawValue]
            state.waiters[direction.rawValue] = waiter
            if let deadline = waiter.deadline { arm(direction, deadline) }
            if replaced == nil { sources[direction.rawValue].resume() }
            return (nil, replaced)
        }
        replaced?.continuation.resume(returning: .cancelled)
        if let early { waiter.continuation.resume(returning: early) }
    }

    private func arm(_ direction: Direction, _ deadline: Deadline) {
        timers[direction.rawValue].schedule(
            deadline: .now() + deadline.remaining.dispatchInterval, leeway: .milliseconds(1))
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
                arm(direction, deadline)
                return nil
            }
            state.waiters[direction.rawValue] = nil
            sources[direction.rawValue].suspend()
            timers[direction.rawValue].schedule(deadline: .distantFuture)
            return waiter
        }
        waiter?.continuation.resume(returning: outcome)
    }

    /// Ends every wait with `.invalidated`, and calls `closed` when no event can come any more. Later calls do nothing.
    package func invalidate(_ closed: @escaping @Sendable () -> Void) {
        let (first, waiters): (Bool, [Waiter]) = state.withLock { state in
            guard !state.invalidated else { return (false, []) }
            state.invalidated = true
            let waiters = state.waiters
            state.waiters = [nil, nil]
            let cancellations = DispatchGroup()
            for (source, waiter) in zip(sources, waiters) {
                cancellations.enter()
                source.setCancelHandler { cancellations.leave() }
                source.cancel()
                if waiter == nil { source.resume() }
            }
            for timer in timers { timer.cancel() }
            let descriptor = descriptor
            cancellations.notify(queue: .global()) {
                if descriptor >= 0 { closeDescriptor(descriptor) }
                closed()
            }
            return (true, waiters.compactMap { $0 })
        }
        guard first else { return }
        for waiter in waiters { waiter.continuation.resume(returning: .invalidated) }
    }
}

private func closeDescriptor(_ descriptor: Int32) {
    close(descriptor)
}
