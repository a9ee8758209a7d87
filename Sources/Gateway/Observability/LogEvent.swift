import Store
import Synchronization

/// One structured log event: a stable name and typed fields; never a message body, never a secret.
package struct LogEvent: Sendable, Equatable {
    package enum Level: String, Sendable, CaseIterable, Comparable {
        case debug, info, warning, error

        fileprivate var severity: Int {
            switch self {
            case .debug: 0
            case .info: 1
            case .warning: 2
            case .error: 3
            }
        }

        package static func < (a: Level, b: Level) -> Bool { a.severity < b.severity }
    }

    package enum Value: Sendable, Equatable {
        case text(String)
        case integer(Int64)
        case boolean(Bool)
    }

    package let level: Level
    package let name: String
    package let fields: [(key: String, value: Value)]

    package init(_ level: Level, _ name: String, _ fields: [(key: String, value: Value?)] = []) {
        self.level = level
        self.name = name
        self.fields = fields.compactMap { field in field.value.map { (field.key, $0) } }
    }

    package subscript(_ key: String) -> Value? {
        fields.first { $0.key == key }?.value
    }

    package static func == (a: LogEvent, b: LogEvent) -> Bool {
        a.level == b.level && a.name == b.name && a.fields.elementsEqual(b.fields) { $0 == $1 }
    }
}

/// Which events are written: those of a level, and those above it. The level can change while others log; each event is
/// judged by the level before or after the change.
final class LogThreshold: Sendable {
    // No mutex: it is asked for each frame, by every thread.
    private let minimum: Atomic<Int>

    init(_ level: LogEvent.Level) {
        minimum = Atomic(level.severity)
    }

    func set(_ level: LogEvent.Level) {
        minimum.store(level.severity, ordering: .relaxed)
    }

    func passes(_ level: LogEvent.Level) -> Bool {
        minimum.load(ordering: .relaxed) <= level.severity
    }
}

/// Where events go.
package struct Logger: Sendable {
    private let threshold: LogThreshold
    private let sink: @Sendable (LogEvent) -> Void

    /// - Parameter minimum: events below it never reach `sink`.
    package init(minimum: LogEvent.Level = .debug, _ sink: @escaping @Sendable (LogEvent) -> Void) {
        self.init(threshold: LogThreshold(minimum), sink)
    }

    init(threshold: LogThreshold, _ sink: @escaping @Sendable (LogEvent) -> Void) {
        self.threshold = threshold
        self.sink = sink
    }

    /// For debug events on the hot way: makes the event only where it will be written.
    func logDebug(_ event: @autoclosure () -> LogEvent) {
        if threshold.passes(.debug) { sink(event()) }
    }

    package func log(_ event: LogEvent) {
        if threshold.passes(event.level) { sink(event) }
    }
}

extension LogEvent.Value {
    static func installation(_ id: InstallationID) -> Self { .integer(id.rawValue) }
    static func milliseconds(_ duration: Duration) -> Self { .integer(duration.milliseconds) }
    package static func count(_ count: Int) -> Self { .integer(Int64(count)) }
}
