import AsyncRuntime

/// Events that somebody else can cause without an end: of each name some lines a minute are written. The next line of
/// the name, or `flush`, says how many were left out before it (`left_out`).
final class RateLimitedLog: Sendable {
    private struct Line {
        var window = SlidingWindow(limit: RateLimitedLog.linesPerMinute, per: .seconds(60))
        var leftOut = 0
        /// The last of those that were left out.
        var last: LogEvent?
    }

    private static let linesPerMinute = 10

    private let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant
    /// By the names of events, which are ours.
    private let lines = Mutex<[String: Line]>([:])

    init(logger: Logger, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.logger = logger
        self.now = now
    }

    func log(_ event: LogEvent) {
        let written = lines.withLock { lines -> LogEvent? in
            var line = lines[event.name] ?? Line()
            defer { lines[event.name] = line }
            let now = now()
            guard line.window.next(now) <= now else {
                line.leftOut += 1
                line.last = event
                return nil
            }
            line.window.record(now)
            defer { (line.leftOut, line.last) = (0, nil) }
            return event.telling(leftOut: line.leftOut)
        }
        if let written { logger.log(written) }
    }

    /// Nothing more comes for now: what was left out is told by its last event.
    func flush() {
        let events = lines.withLock { lines in
            lines.keys.sorted().compactMap { name -> LogEvent? in
                guard var line = lines[name], let last = line.last else { return nil }
                let others = line.leftOut - 1
                (line.leftOut, line.last) = (0, nil)
                lines[name] = line
                return last.telling(leftOut: others)
            }
        }
        for event in events { logger.log(event) }
    }
}

extension LogEvent {
    fileprivate func telling(leftOut: Int) -> LogEvent {
        guard leftOut > 0 else { return self }
        return LogEvent(level, name, fields.map { ($0.key, $0.value) } + [("left_out", .count(leftOut))])
    }
}
