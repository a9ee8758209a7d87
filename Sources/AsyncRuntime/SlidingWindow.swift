/// At most so many events in any period, whenever it begins: what a limit of the platform allows at the most. (A bucket
/// of tokens would let twice as many through in its first period.) The limit may change: what was recorded before
/// counts against the new one.
package struct SlidingWindow: Sendable {
    private var limit: Int
    private let period: Duration
    /// The newest events, a ring: all of the last period, and no more than the largest limit of that time.
    private var times: [ContinuousClock.Instant] = []
    private var oldest = 0

    /// - Parameter limit: 1 at least.
    package init(limit: Int, per period: Duration) {
        self.limit = max(1, limit)
        self.period = period
    }

    /// When the next event may be, `now` or later.
    package func next(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        guard times.count >= limit else { return now }
        return max(now, times[(oldest + times.count - limit) % times.count] + period)
    }

    /// - Parameter now: not before what `next` said.
    package mutating func record(_ now: ContinuousClock.Instant) {
        guard times.count >= limit else { return times.append(now) }
        // It is over a period old: so is the one `limit` events back, or `next` would not have allowed this one.
        times[oldest] = now
        oldest = (oldest + 1) % times.count
    }

    /// Takes another limit, from the next event on.
    /// - Parameter limit: 1 at least.
    package mutating func setLimit(_ limit: Int, _ now: ContinuousClock.Instant) {
        self.limit = max(1, limit)
        let inOrder = times[oldest...] + times[..<oldest]
        times = inOrder.filter { $0 + period > now }
        oldest = 0
    }

    /// Whether all that it remembers is over.
    package func isIdle(_ now: ContinuousClock.Instant) -> Bool {
        guard let last = times.isEmpty ? nil : times[(oldest + times.count - 1) % times.count] else { return true }
        return last + period <= now
    }
}
