import Foundation
import Lark

/// What was said in a group before somebody asked the bot, for the agent to know what it is about. Pure.
package enum GroupContext {
    package static let mostMessages = 20
    /// Of one message.
    static let maxTextBytes = 2_000
    static let maxBytes = 16_000
    static let maxAge: Duration = .seconds(24 * 3600)

    /// The last messages before `message`, of other people and of bots, the oldest first. In a topic those of the topic, else
    /// those of no topic: what was said in one is never told in another.
    package static func select(_ listed: [ListedMessage], before message: InboundMessage) -> [ListedMessage] {
        guard let asked = message.sentAtMilliseconds else { return [] }
        var bytes = 0
        let candidates = listed.filter {
            $0.messageID != message.messageID && $0.threadID == message.threadID && !$0.isSystem && !$0.text.isEmpty
                && $0.sentAtMilliseconds <= asked && $0.sentAtMilliseconds > asked - maxAge.milliseconds
        }
        let newest = candidates.sorted { $0.sentAtMilliseconds > $1.sentAtMilliseconds }.prefix(mostMessages).prefix {
            bytes += min($0.text.utf8.count, maxTextBytes) + 100
            return bytes <= maxBytes
        }
        return newest.reversed()
    }

    /// `[{"lark_message_id", "sender", "from": "user" or "bot", "content", "created_at"}]`, as workers get it.
    package static func json(_ messages: [ListedMessage]) -> String {
        let rows = messages.map { message -> [String: String] in
            var text = message.text
            if text.utf8.count > maxTextBytes {
                let end = text.utf8.index(text.startIndex, offsetBy: maxTextBytes)
                text = String(text.unicodeScalars[..<end]) + "…"
            }
            let time = Date(timeIntervalSince1970: Double(message.sentAtMilliseconds) / 1000)
            return [
                "lark_message_id": message.messageID, "sender": message.sender,
                "from": message.isFromBot ? "bot" : "user",
                "content": text,
                "created_at": time.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            ]
        }
        let data = try? JSONSerialization.data(withJSONObject: rows, options: [.sortedKeys])
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    }
}
