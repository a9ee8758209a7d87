/// Tells when connections end more often than the platform's habit: a cut is normal, even every 30 s, and only the rate
/// is news. Time comes in.
package struct EndRate: Sendable {
    package static let window: Duration = .seconds(600)
    static let limit = 30
    /// Said once, and again after this.
    static let silence: Duration = .seconds(3600)

    private var ends: [Duration] = []
    private var lastTold: Duration?

    package init() {}

    /// - Returns: how many connections ended within `window`, when that is news.
    package mutating func ended(now: Duration) -> Int? {
        ends.removeAll { $0 + Self.window <= now }
        // What counts is whether there are more than the limit.
        if ends.count > 1_000 { ends.removeFirst() }
        ends.append(now)
        guard ends.count > Self.limit, lastTold.map({ $0 + Self.silence <= now }) ?? true else { return nil }
        lastTold = now
        return ends.count
    }
}
