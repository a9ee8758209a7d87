import AsyncRuntime
import Gateway
import Postgres

/// Looks until the answer is true; a deadline, never a fixed sleep, bounds a test that fails.
package func eventually(
    within limit: Duration = .seconds(20), _ condition: @Sendable () async throws -> Bool
) async throws -> Bool {
    let deadline = Deadline.after(limit)
    // What is only a hop away is seen at once; a process or a server is not asked all the time.
    var pause = Duration.microseconds(200)
    while !deadline.hasPassed {
        if try await condition() { return true }
        try await Task.sleep(for: pause)
        pause = min(pause * 2, .milliseconds(20))
    }
    return try await condition()
}

/// Keeps log events for assertions.
package final class LogRecorder: Sendable {
    private let events = Mutex([LogEvent]())

    package init() {}

    package var logger: Logger {
        Logger { [self] event in events.withLock { $0.append(event) } }
    }

    package var all: [LogEvent] { events.withLock { $0 } }

    package func events(named name: String) -> [LogEvent] { all.filter { $0.name == name } }
}

/// Keeps what was handed to it, in order.
package final class Recorder<Element: Sendable>: Sendable {
    private let elements = Mutex([Element]())

    package init() {}

    package func record(_ element: Element) { elements.withLock { $0.append(element) } }

    package var all: [Element] { elements.withLock { $0 } }
}

/// Time that moves only when a test says so: from one due alarm to the next, in order.
package final class ManualWakeUp: WakeUp {
    private struct State {
        var now: Duration = .seconds(1000)
        var alarm: (at: Duration, fire: @Sendable () -> Void)?
    }

    private let state = Mutex(State())

    package init() {}

    package var now: Duration { state.withLock { $0.now } }
    package var alarm: Duration? { state.withLock { $0.alarm?.at } }

    package func set(at instant: Duration?, _ fire: @escaping @Sendable () -> Void) {
        state.withLock { state in state.alarm = instant.map { ($0, fire) } }
    }

    /// Moves time, firing what comes due on the way.
    package func advance(by step: Duration) {
        let end = now + step
        while true {
            let fire = state.withLock { state -> (@Sendable () -> Void)? in
                guard let alarm = state.alarm, alarm.at <= end else { return nil }
                state.alarm = nil
                state.now = max(state.now, alarm.at)
                return alarm.fire
            }
            guard let fire else { break }
            fire()
        }
        state.withLock { $0.now = end }
    }
}

extension Pool {
    /// For assertions: the rows of a SELECT, each as Postgres writes it, such as `(7,text,)`.
    package func rows(_ sql: String, _ values: [PostgresValue] = []) async throws -> [String] {
        let rows = try await query(
            Statement(name: "test", sql: "SELECT q::text AS row FROM (\(sql)) q", isPrepared: false), values,
            deadline: .after(.seconds(20)))
        return try rows.map { try $0.value("row", as: String.self) }
    }

    package func run(_ sql: String, _ values: [PostgresValue] = []) async throws {
        try await query(Statement(name: "test", sql: sql, isPrepared: false), values, deadline: .after(.seconds(20)))
    }
}
