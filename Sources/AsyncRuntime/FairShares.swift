/// Shares of a whole: a key may hold as much as it leaves free. One key alone gets half, and however many keys take all
/// that they may and never give it back, the next one still finds something (until only ones are left).
/// Source: "Dynamic queue length thresholds for shared-memory packet switches", Choudhury and Hahne, 1998, with alpha
/// 1.
package struct FairShares<Key: Hashable & Sendable>: Sendable {
    package let total: Int
    private var holdings: [Key: Int] = [:]
    package private(set) var held = 0

    package init(total: Int) {
        self.total = total
    }

    package var free: Int { total - held }

    package func held(by key: Key) -> Int { holdings[key] ?? 0 }

    /// Everybody who holds something.
    package var holders: Dictionary<Key, Int>.Keys { holdings.keys }

    package func mayTake(_ key: Key) -> Bool { held(by: key) < free }

    /// How much more the key may take, one after another.
    package func room(for key: Key) -> Int { max(0, (free - held(by: key) + 1) / 2) }

    package mutating func take(_ key: Key) {
        holdings[key, default: 0] += 1
        held += 1
    }

    /// - Parameter key: holds something.
    package mutating func giveBack(_ key: Key) {
        guard let count = holdings[key] else { return }
        holdings[key] = count > 1 ? count - 1 : nil
        held -= 1
    }
}
