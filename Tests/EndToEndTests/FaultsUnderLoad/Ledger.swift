import AsyncRuntime
import Foundation
import Lark
import LarkSimulator
import Postgres

extension String {
    /// An id as the audit has it.
    fileprivate var auditedID: String { String(prefix(256)) }
}

/// Counts, at rest, what the simulated Lark saw against what stands in the database.
struct Ledger {
    private let stage: Stage

    init(_ stage: Stage) {
        self.stage = stage
    }

    private struct Stored {
        let session: Int64
        let chatID: String
        let messageID: String
        let position: Int64
        let content: String
    }

    /// What does not add up; empty when all is well.
    func faults() async throws -> [String] {
        let deliveries = await stage.simulator.deliveryStates
        let stored = try await storedMessages()
        return try await everyAckedMessageOnce(deliveries, stored) + inOrderOfArrival(deliveries, stored)
            + (try await positionsWithoutGaps()) + (try await repliesToEveryMessageOnce(stored))
    }

    /// I1, I2: acked 200 is stored once, or audited once for a reason of its own.
    private func everyAckedMessageOnce(_ deliveries: [DeliveryState], _ stored: [Stored]) async throws -> [String] {
        let counts = Dictionary(stored.map { ($0.messageID, 1) }, uniquingKeysWith: +)
        let dropped = try await texts(
            "SELECT lark_message_id FROM gateway.inbound_audit WHERE reason <> 'duplicate' AND lark_message_id IS NOT NULL"
        )
        let drops = Dictionary(dropped.map { ($0, 1) }, uniquingKeysWith: +)
        // Without an id: what can't be decoded.
        let acked = Set(deliveries.filter { $0.isSettled && $0.messageID != "" }.map(\.messageID.auditedID))
        return acked.sorted().compactMap { id in
            let (kept, lost) = (counts[id] ?? 0, drops[id] ?? 0)
            return kept + lost == 1 ? nil : "\(id) was acked 200, is stored \(kept) times and dropped \(lost) times"
        }
    }

    /// I3: of two messages of a session, the one that stands first was on the wire before the last delivery of the
    /// other.
    private func inOrderOfArrival(_ deliveries: [DeliveryState], _ stored: [Stored]) -> [String] {
        var first: [String: Int] = [:]
        var last: [String: Int] = [:]
        for delivery in deliveries {
            guard let earliest = delivery.written.first, let latest = delivery.written.last else { continue }
            first[delivery.messageID] = min(first[delivery.messageID] ?? earliest, earliest)
            last[delivery.messageID] = max(last[delivery.messageID] ?? latest, latest)
        }
        return Dictionary(grouping: stored, by: \.session).values.flatMap { messages in
            // Of all that stands before: what came last.
            var latest: (id: String, arrived: Int)?
            return messages.sorted { $0.position < $1.position }.compactMap { message -> String? in
                defer {
                    if let arrived = first[message.messageID], arrived > latest?.arrived ?? 0 {
                        latest = (message.messageID, arrived)
                    }
                }
                guard let latest, let ended = last[message.messageID], latest.arrived > ended else { return nil }
                return "\(latest.id) stands before \(message.messageID) and arrived after it"
            }
        }
    }

    private func positionsWithoutGaps() async throws -> [String] {
        try await texts(
            """
            SELECT s.id::text FROM gateway.chat_session s
            WHERE s.last_position <> (SELECT count(*) FROM gateway.chat_message m
                WHERE m.installation_id = s.installation_id AND m.session_id = s.id)
            """
        ).map { "session \($0) has gaps" }
    }

    /// I10: what the replies in a chat say they were given is what is stored, each message once and in order; and every
    /// reply that is due is in the chat once.
    private func repliesToEveryMessageOnce(_ stored: [Stored]) async throws -> [String] {
        var sent: [String: [String]] = [:]
        for message in await stage.simulator.sentMessages where message.type == "text" {
            guard let text = JSONValue(parsing: message.content)?["text"].string else { continue }
            sent[message.receiver, default: []].append(text)
        }
        var due: [String: [String]] = [:]
        for row in try await rows(
            """
            SELECT b.chat_id, m.content FROM gateway.chat_message m
            JOIN gateway.chat_binding b ON b.installation_id = m.installation_id AND b.session_id = m.session_id
            WHERE m.role = 'assistant' ORDER BY m.session_id, m.position
            """)
        {
            due[try row.value("chat_id"), default: []].append(try row.value("content"))
        }
        var faults: [String] = []
        // What a hostile member gets is not looked at.
        for (chat, messages) in Dictionary(grouping: stored, by: \.chatID) where !chat.hasPrefix(HostileMember.chat) {
            if sent[chat] != due[chat] {
                faults.append(
                    "\(chat) got \(sent[chat]?.count ?? 0) replies of \(due[chat]?.count ?? 0), or not in order")
            }
            let answered = (due[chat] ?? []).flatMap { $0.split(separator: "\n").map(String.init) }
            let written = messages.sorted { $0.position < $1.position }.flatMap { message in
                message.content.matches(of: /c[0-9]+r[0-9]+m[0-9]+/).map { String($0.output) }
            }
            if answered != written {
                let odd = Set(answered).symmetricDifference(written).sorted().prefix(5)
                faults.append("\(chat): \(answered.count) messages answered of \(written.count), odd: \(odd)")
            }
        }
        return faults
    }

    private func storedMessages() async throws -> [Stored] {
        try await rows(
            """
            SELECT m.session_id, b.chat_id, m.lark_message_id, m.position, m.content FROM gateway.chat_message m
            JOIN gateway.chat_binding b ON b.installation_id = m.installation_id AND b.session_id = m.session_id
            WHERE m.role = 'user'
            """
        ).map { row in
            Stored(
                session: try row.value("session_id"), chatID: try row.value("chat_id"),
                messageID: try row.value("lark_message_id"), position: try row.value("position"),
                content: try row.value("content"))
        }
    }

    private func texts(_ sql: String) async throws -> [String] {
        try await rows("SELECT q.* FROM (\(sql)) q (text)").map { try $0.value("text") }
    }

    /// A server that was restarted leaves broken connections in the pool; the second try gets a new one.
    private func rows(_ sql: String) async throws -> Rows {
        let statement = Statement(name: "ledger", sql: sql, isPrepared: false)
        for _ in 0..<4 {
            if let rows = try? await stage.pool.query(statement, deadline: .after(.seconds(30))) { return rows }
        }
        return try await stage.pool.query(statement, deadline: .after(.seconds(30)))
    }
}
