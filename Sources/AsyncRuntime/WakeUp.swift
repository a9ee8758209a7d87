import Dispatch

/// A clock and one alarm: what a scheduler of many deadlines needs. Setting it again replaces what was set.
package protocol WakeUp: Sendable {
    /// Time since an arbitrary start; monotonic.
    var now: Duration { get }
    /// Calls `fire` once at or soon after `instant`; `nil` disarms.
    func set(at instant: Duration?, _ fire: @escaping @Sendable () -> Void)
}

/// The alarm on one DispatchSourceTimer.
package final class DispatchWakeUp: WakeUp {
    private struct State {
        var fire: (@Sendable () -> Void)?
        /// When the timer goes off; guards against an event that was under way when the alarm was set anew.
        var instant: Duration?
    }

    private let state = Mutex(State())
    private let start = ContinuousClock.now
    // A dispatch timer is thread-safe (schedule and cancel may come from any thread); made once, never replaced.
    nonisolated(unsafe) private let timer: any DispatchSourceTimer

    package init(label: String) {
        timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: label))
        timer.setEventHandler { [weak self] in self?.timerFired() }
        timer.schedule(deadline: .distantFuture)
        timer.activate()
    }

    deinit {
        timer.cancel()
    }

    package var now: Duration { start.duration(to: .now) }

    package func set(at instant: Duration?, _ fire: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.instant = instant
            state.fire = fire
            arm(instant)
        }
    }

    private func arm(_ instant: Duration?) {
        guard let instant else { return timer.schedule(deadline: .distantFuture) }
        timer.schedule(deadline: .now() + (instant - now).dispatchInterval, leeway: .milliseconds(1))
    }

    private func timerFired() {
        let fire: (@Sendable () -> Void)? = state.withLock { state in
            guard let instant = state.instant else { return nil }
            guard instant <= now else {
                arm(instant)
                return nil
            }
            state.instant = nil
            return state.fire
        }
        fire?()
    }
}
