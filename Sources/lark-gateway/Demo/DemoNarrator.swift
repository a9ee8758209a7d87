import AsyncRuntime
import Foundation
import Gateway
import Output
import Worker

/// Prints what happens, with the time since the first message arrived.
final class DemoNarrator: Sendable {
    private let began = Mutex<ContinuousClock.Instant?>(nil)

    /// From here on time counts.
    func begin() {
        began.withLock { $0 = .now }
    }

    var start: ContinuousClock.Instant { began.withLock { $0 } ?? .now }

    func say(_ step: String, _ words: String) {
        guard let start = began.withLock({ $0 }) else { return }
        let milliseconds = String(start.duration(to: .now).milliseconds)
        let time = String(repeating: " ", count: max(0, 6 - milliseconds.count)) + milliseconds
        let lines = words.split(separator: "\n").map { line -> TerminalText in "\(line)" }
        let text = TerminalText(joining: lines, with: "\n\(String(repeating: " ", count: 26))")
        Terminal.say("\(time) ms  \(step.padding(toLength: 14, withPad: " ", startingAt: 0)) \(text)")
        Terminal.flush()
    }

    /// Turns the gateway's own log events into steps.
    var logger: Logger {
        Logger { [self] event in
            func number(_ key: String) -> String {
                if case .integer(let value)? = event[key] { return "\(value)" }
                return "?"
            }
            switch event.name {
            case LogEvent.Name.messageReceived: say("received", "over the long connection")
            case LogEvent.Name.messageIngested:
                say("stored", "in session \(number("session_id")) at position \(number("position"))")
            case LogEvent.Name.messageDropped: say("dropped", "as a duplicate, and written into the audit")
            case LogEvent.Name.taskQueued:
                say("window closed", "after 3 s of silence")
                say("task queued", "task \(number("task_id")), with NOTIFY for the workers")
            case LogEvent.Name.taskClaimed: say("claimed", "by a worker, which runs the agent's command")
            case LogEvent.Name.taskCompleted: say("completed", "the reply is in the outbox")
            default:
                if event.level >= .warning {
                    say(event.name, event.fields.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
                }
            }
        }
    }
}

/// What has to be true.
final class Facts: Sendable {
    private let facts = Mutex([(name: String, holds: Bool)]())

    func check(_ name: String, _ holds: Bool) {
        facts.withLock { $0.append((name, holds)) }
    }

    var allTrue: Bool { facts.withLock { $0.allSatisfy(\.holds) } }

    func summarise() {
        Terminal.say("")
        for fact in facts.withLock({ $0 }) { Terminal.say("\(fact.holds ? "ok   " : "WRONG") \(fact.name)") }
    }
}
