import AsyncRuntime
import CAllocationCount
import Gateway
import Store

/// A million open windows in one RunBatcher: memory, cost, and how many alarms are armed.
struct WindowsBenchmark {
    let count: Int

    func run() async -> [Reading] {
        let wakeUp = CountingWakeUp()
        let flushed = Mutex(0)
        let clock = ContinuousClock()
        let before = lgw_allocated_bytes()
        let batcher = RunBatcher(Batching(), wakeUp: wakeUp) { keys, _ in
            flushed.withLock { $0 += keys.count }
            return [:]
        }
        let keys = (0..<count).map { SessionKey(installation: InstallationID(rawValue: 1), session: Int64($0)) }
        let keyBytes = UInt64(keys.capacity * MemoryLayout<SessionKey>.stride)
        let scheduling = clock.now
        for (index, key) in keys.enumerated() {
            // A microsecond apart, so that deadlines differ.
            wakeUp.move(to: .microseconds(index))
            await batcher.messageStored(in: key)
        }
        let scheduled = scheduling.duration(to: clock.now)
        // Nothing is counted under a sanitizer.
        let bytes = (Double(lgw_allocated_bytes()) - Double(before) - Double(keyBytes)) / Double(count)
        let armed = wakeUp.armed
        let extending = clock.now
        for key in keys { await batcher.messageStored(in: key) }
        let extended = extending.duration(to: clock.now)
        let firing = clock.now
        wakeUp.move(to: .seconds(60))
        while flushed.withLock({ $0 }) < count {
            wakeUp.fireIfDue()
            await Task.yield()
        }
        let fired = firing.duration(to: clock.now)
        await batcher.flushAll()
        func each(_ duration: Duration) -> Double { duration.seconds * 1e9 / Double(count) }
        return [
            Reading(.windows, "\(count) open: memory each", bytes, "bytes"),
            Reading(.windows, "\(count) open: schedule", each(scheduled), "ns"),
            Reading(.windows, "\(count) open: extend", each(extended), "ns"),
            Reading(.windows, "\(count) open: fire", each(fired), "ns"),
            Reading(.windows, "\(count) open: timers armed", Double(armed), "timers"),
        ]
    }
}

/// Time moved by hand, and the alarm that stands.
private final class CountingWakeUp: WakeUp {
    private struct State {
        var now: Duration = .zero
        var alarm: (at: Duration, fire: @Sendable () -> Void)?
    }

    private let state = Mutex(State())

    var now: Duration { state.withLock { $0.now } }
    var armed: Int { state.withLock { $0.alarm == nil ? 0 : 1 } }

    func set(at instant: Duration?, _ fire: @escaping @Sendable () -> Void) {
        state.withLock { state in state.alarm = instant.map { ($0, fire) } }
    }

    func move(to instant: Duration) { state.withLock { $0.now = instant } }

    func fireIfDue() {
        let fire = state.withLock { state -> (@Sendable () -> Void)? in
            guard let alarm = state.alarm, alarm.at <= state.now else { return nil }
            state.alarm = nil
            return alarm.fire
        }
        fire?()
    }
}
