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
        /// The number of its newest touch.
        var touch = 0
    }

    /// A part that came.
    private struct Touch {
        let number: Int
        let messageID: String
        let expiry: Duration
    }

    private var open: [String: Parts] = [:]
    /// In the order in which they came, which is that of their expiries. The first one is the newest of its event;
    /// among the others are some that are not, a bounded number: so each part costs the same, however many events are
    /// open.
    private var touches: [Touch] = []
    /// Those before it are gone.
    private var firstTouch = 0
    private var lastTouch = 0
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
    /// What an event costs beside its parts and its `message_id`.
    private static let eventOverhead = 384
    /// Of a `message_id`; the platform's have some 40.
    private static let maxIDBytes = 256

    /// - Parameter now: never less than at the call before.
    package mutating func add(
        _ payload: [UInt8], messageID: String, sum: Int, index: Int, now: Duration
    ) -> Outcome {
        guard (1...Self.maxParts).contains(sum) else { return .dropped(reason: "an event of \(sum) parts") }
        guard (0..<sum).contains(index) else { return .dropped(reason: "part \(index) of \(sum)") }
        guard messageID.utf8.count <= Self.maxIDBytes else {
            return .dropped(reason: "a message_id of \(messageID.utf8.count) bytes")
        }
        if let known = open[messageID]?.sum, known != sum {
            return .dropped(reason: "a part of \(sum) for an event of \(known)")
        }
        let isNew = open[messageID]?.payloads[index] == nil
        var cost = isNew ? payload.count + Self.overhead : 0
        if open[messageID] == nil { cost += Self.eventOverhead + messageID.utf8.count }
        guard bytes + cost <= maxBytes else { return .dropped(reason: "over \(maxBytes) bytes of parts") }
        bytes += cost
        touch(messageID, sum: sum, expiry: now + patience) { parts in
            if isNew { parts.payloads[index] = payload }
            parts.bytes += cost
        }
        guard open[messageID]?.payloads.count == sum, let parts = open.removeValue(forKey: messageID) else {
            return .waiting
        }
        bytes -= parts.bytes
        dropStaleTouches()
        return .whole((0..<sum).flatMap { parts.payloads[$0] ?? [] })
    }

    /// In its place: a copy would cost as much as all parts of the event that came before.
    private mutating func touch(_ messageID: String, sum: Int, expiry: Duration, _ change: (inout Parts) -> Void) {
        lastTouch += 1
        change(&open[messageID, default: Parts(sum: sum)])
        open[messageID]?.touch = lastTouch
        touches.append(Touch(number: lastTouch, messageID: messageID, expiry: expiry))
        dropStaleTouches()
    }

    /// Forgets what has waited too long.
    /// - Returns: how many events were given up; the platform delivers them again.
    package mutating func dropExpired(now: Duration) -> Int {
        var dropped = 0
        while let expiry = nextExpiry, expiry <= now {
            if let parts = open.removeValue(forKey: touches[firstTouch].messageID) { bytes -= parts.bytes }
            dropped += 1
            dropStaleTouches()
        }
        return dropped
    }

    /// When `dropExpired` has something to do next.
    package var nextExpiry: Duration? {
        firstTouch < touches.count ? touches[firstTouch].expiry : nil
    }

    private func isNewest(_ touch: Touch) -> Bool { open[touch.messageID]?.touch == touch.number }

    /// Each is dropped once, and looked at once more for each time that as many came as were left.
    private mutating func dropStaleTouches() {
        while firstTouch < touches.count, !isNewest(touches[firstTouch]) { firstTouch += 1 }
        guard touches.count > 2 * open.count + 64 else { return }
        touches = touches[firstTouch...].filter(isNewest)
        firstTouch = 0
    }
}
