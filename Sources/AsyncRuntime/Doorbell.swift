/// A doorbell: rings are not counted, and one that comes while nobody waits is kept for the next wait.
package final class Doorbell: Sendable {
    private struct State {
        var rung = false
        var nextID = 0
        var waiter: (id: Int, continuation: CheckedContinuation<Void, Never>)?
        var cancelledEarly: Int?
    }

    private let state = Mutex(State())

    package init() {}

    package func ring() {
        let waiter = state.withLock { state in
            guard let waiter = state.waiter else {
                state.rung = true
                return nil as CheckedContinuation<Void, Never>?
            }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume()
    }

    /// Waits for a ring, `timeout` at most, or the task's cancellation. One waiter at a time.
    package func wait(atMost timeout: Duration) async {
        let deadline = Deadline.after(timeout)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { await Alarm.wait(until: deadline) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Waits for a ring, or the task's cancellation. One waiter at a time.
    package func wait() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let done = state.withLock { state in
                    if state.rung || state.cancelledEarly == id {
                        if state.cancelledEarly != id { state.rung = false }
                        return true
                    }
                    state.waiter = (id, continuation)
                    return false
                }
                if done { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                guard let waiter = state.waiter, waiter.id == id else {
                    state.cancelledEarly = id
                    return nil as CheckedContinuation<Void, Never>?
                }
                state.waiter = nil
                return waiter.continuation
            }
            waiter?.resume()
        }
    }
}
