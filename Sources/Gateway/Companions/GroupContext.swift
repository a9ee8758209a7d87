import Foundation
import Lark

/// What was said in a group before somebody asked the bot, for the agent to know what it is about. Pure.
package enum GroupContext {
    package static let mostMessages = 20
    /// Of one message.
    static let maxTextBytes = 2_000
    static let maxBytes = 16_000
    static let maxAge: Duration = .seconds(24 * 3600)

    /// A message that was chosen, and what is told of it.
    package struct Line: Sendable {
        package let message: ListedMessage
        let text: String
    }

    /// The last messages before `message`, of other people and of bots, the oldest first. In a topic those of the
    /// topic, else those of no topic: what was said in one is never told in another. Texts are decoded one after
    /// another, the newest first, until the bounds are reached.
    package static func select(_ listed: [ListedMessage], before message: InboundMessage) -> [Line] {
        guard let asked = message.sentAtMilliseconds else { return [] }
        let candidates = listed.filter {
            $0.messageID != message.messageID && $0.threadID == message.threadID && !$0.isSystem && !$0.isWithdrawn
                && $0.sentAtMilliseconds <= asked && $0.sentAtMilliseconds > asked - maxAge.milliseconds
        }
        var newest: [Line] = []
        var bytes = 0
        for candidate in candidates.sorted(by: { $0.sentAtMilliseconds > $1.sentAtMilliseconds }) {
            guard newest.count < mostMessages else { break }
            let text = candidate.text(bound: maxTextBytes)
            guard !text.isEmpty else { continue }
            bytes += min(text.utf8.count, maxTextBytes) + 100
            guard bytes <= maxBytes else { break }
            newest.append(Line(message: candidate, text: cut(text)))
        }
        return newest.reversed()
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > maxTextBytes else { return text }
        let end = text.utf8.index(text.startIndex, offsetBy: maxTextBytes)
        return String(text.unicodeScalars[..<end]) + "…"
    }

    /// `[{"lark_message_id", "sender", "from": "user" or "bot", "content", "created_at"}]`, as workers get it.
    package static func json(_ lines: [Line]) -> String {
        let rows = lines.map { line -> [String: String] in
            let time = Date(timeIntervalSince1970: Double(line.message.sentAtMilliseconds) / 1000)
            return [
                "lark_message_id": line.message.messageID, "sender": line.message.sender,
                "from": line.message.isFromBot ? "bot" : "user",
                "content": line.text,
                "created_at": time.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            ]
        }
        let data = try? JSONSerialization.data(withJSONObject: rows, options: [.sortedKeys])
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    }
}
