/// How often, and after which waits, a server that ended is started again before we give up. Pure: the caller waits.
struct RestartBudget: Equatable {
    /// Before each attempt. The first one is not zero: the server's processes need a moment to notice that it is gone,
    /// and no new one can start before.
    static let waits: [Duration] = [
        .milliseconds(200), .seconds(1), .seconds(2), .seconds(4), .seconds(8),
    ]
    /// A server that ran for so long was healthy. One that ended sooner counts as an attempt that failed.
    static let healthyAfter = Duration.seconds(60)

    /// Attempts since the server was healthy.
    private(set) var used = 0

    /// The wait before the next attempt; nil when none is left.
    mutating func next() -> Duration? {
        guard used < Self.waits.count else { return nil }
        defer { used += 1 }
        return Self.waits[used]
    }

    mutating func serverEnded(afterRunning duration: Duration) {
        if duration >= Self.healthyAfter { used = 0 }
    }
}
