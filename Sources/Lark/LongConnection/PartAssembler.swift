/// Joins the parts of a large event: any order, duplicates allowed, memory bounded. State of one connection. Bytes are
/// joined before anything is decoded: a part may end inside a character.
package struct PartAssembler: Sendable {
    package enum Outcome: Sendable, Equatable {
        case whole([UInt8])
        case waiting
        /// Out of range, contradicting an earlier part, or over the bound.
        case dropped(reason: String)
    }

    private struct Parts {
        let sum: Int
        var payloads: [Int: [UInt8]] = [:]
        var bytes = 0
        var newest: Duration
    }

    private var open: [String: Parts] = [:]
    /// What is held now.
    package private(set) var bytes = 0
    private let maxBytes: Int
    private let patience: Duration

    /// - Parameter patience: parts that stay alone this long after the newest of them are dropped.
    package init(maxBytes: Int = 64 << 20, patience: Duration = .seconds(5)) {
        self.maxBytes = maxBytes
        self.patience = patience
    }

    private static let maxParts = 10_000
    /// What a part costs beside its bytes, so that empty ones are bounded too.
    private static let overhead = 128

    package mutating func add(
        _ payload: [UInt8], messageID: String, sum: Int, index: Int, now: Duration
    ) -> Outcome {
        guard (1...Self.maxParts).contains(sum) else { return .dropped(reason: "an event of \(sum) parts") }
        guard (0..<sum).contains(index) else { return .dropped(reason: "part \(index) of \(sum)") }
        var parts = open[messageID] ?? Parts(sum: sum, newest: now)
        guard parts.sum == sum else { return .dropped(reason: "a part of \(sum) for an event of \(parts.sum)") }
        parts.newest = now
        if parts.payloads[index] == nil {
            let cost = payload.count + Self.overhead
            guard bytes + cost <= maxBytes else { return .dropped(reason: "over \(maxBytes) bytes of parts") }
            parts.payloads[index] = payload
            parts.bytes += cost
            bytes += cost
        }
        guard parts.payloads.count == sum else {
            open[messageID] = parts
            return .waiting
        }
        open[messageID] = nil
        bytes -= parts.bytes
        return .whole((0..<sum).flatMap { parts.payloads[$0] ?? [] })
    }

    /// Forgets what has waited too long.
    /// - Returns: how many events were given up; the platform delivers them again.
    package mutating func dropExpired(now: Duration) -> Int {
        let expired = open.filter { $0.value.newest + patience <= now }
        for (messageID, parts) in expired {
            open[messageID] = nil
            bytes -= parts.bytes
        }
        return expired.count
    }

    /// When `dropExpired` has something to do next.
    package var nextExpiry: Duration? {
        open.values.map { $0.newest + patience }.min()
    }
}
