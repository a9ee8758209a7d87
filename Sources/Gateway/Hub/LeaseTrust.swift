/// Until when a replica may believe that its leases are its own, and when it renews them. Pure: time comes from
/// outside.
struct LeaseTrust {
    typealias Instant = ContinuousClock.Instant

    private let timing: LeaseTiming
    private var trustedUntil: Instant
    private(set) var renewAt: Instant

    init(_ timing: LeaseTiming, now: Instant) {
        self.timing = timing
        trustedUntil = now + timing.ttl
        renewAt = now + timing.renewEvery
    }

    /// How long a renewal may take that is asked for now. While the leases are trusted, an answer that comes after
    /// their end is of no use. Once they are given up, no answer comes too late: a server that has just come back may
    /// be slow.
    func timeout(_ now: Instant) -> Duration {
        let left = now.duration(to: trustedUntil)
        guard left > .zero else { return min(.seconds(10), timing.renewEvery) }
        return min(.seconds(10), max(.milliseconds(100), left))
    }

    /// - Parameter asked: the leases count from before the request, so that we stop before anybody else may begin.
    mutating func renewed(asked: Instant) {
        trustedUntil = asked + timing.ttl
        renewAt = asked + timing.renewEvery
    }

    /// - Returns: whether the leases must be given up. The margin is the time of one renewal.
    mutating func renewalFailed(_ now: Instant) -> Bool {
        renewAt = now + min(.seconds(1), timing.renewEvery)
        return now + timing.renewEvery > trustedUntil
    }
}
