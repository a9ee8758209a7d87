/// At most so many events in any period, whenever it begins: what a limit of the platform allows at the most. (A bucket
/// of tokens would let twice as many through in its first period.)
package struct SlidingWindow: Sendable {
    private let limit: Int
    private let period: Duration
    /// The last `limit` events, a ring.
    private var times: [ContinuousClock.Instant] = []
    private var oldest = 0

    /// - Parameter limit: 1 at least.
    package init(limit: Int, per period: Duration) {
        self.limit = max(1, limit)
        self.period = period
    }

    /// When the next event may be, `now` or later.
    package func next(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        times.count < limit ? now : max(now, times[oldest] + period)
    }

    /// - Parameter now: not before what `next` said.
    package mutating func record(_ now: ContinuousClock.Instant) {
        guard times.count == limit else { return times.append(now) }
        times[oldest] = now
        oldest = (oldest + 1) % limit
    }

    /// Whether all that it remembers is over.
    package func isIdle(_ now: ContinuousClock.Instant) -> Bool {
        guard let last = times.isEmpty ? nil : times[(oldest + times.count - 1) % times.count] else { return true }
        return last + period <= now
    }
}
