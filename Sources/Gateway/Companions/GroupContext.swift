import Foundation
import Lark
import Store

/// What was said in a group before somebody asked the bot, for the agent to know what it is about. Pure.
package enum GroupContext {
    package static let mostMessages = 20
    /// Of one message.
    static let maxTextBytes = 2_000
    static let maxBytes = 16_000
    static let maxAge: Duration = .seconds(24 * 3600)

    /// How many people are looked for in the database: the rest counts as not let in. The platform lists 50 messages.
    static let mostPeople = 50

    /// Who said something, as an agent is told.
    package enum Speaker: Sendable, Equatable {
        /// The bot that is asked.
        case itself
        case otherBot
        case person(isMember: Bool)
    }

    /// A message that was chosen, and what is told of it.
    package struct Line: Sendable {
        package let message: ListedMessage
        package let speaker: Speaker
        let text: String
    }

    /// Who wrote the messages that can be chosen; the newest first, each person once.
    package static func people(_ listed: [ListedMessage], before message: InboundMessage) -> [String] {
        var people: [String] = []
        var seen: Set<String> = []
        for candidate in candidates(listed, before: message) where !candidate.isFromBot {
            guard people.count < mostPeople else { break }
            if seen.insert(candidate.sender).inserted { people.append(candidate.sender) }
        }
        return people
    }

    /// The last messages before `message`, of other people and of bots, the oldest first. In a topic those of the
    /// topic, else those of no topic: what was said in one is never told in another. What a stranger said is left out
    /// where the rules say so. Texts are decoded one after another, the newest first, until the bounds are reached.
    package static func select(
        _ listed: [ListedMessage], before message: InboundMessage, _ rules: ContextRules
    ) -> [Line] {
        var newest: [Line] = []
        var bytes = 0
        for candidate in candidates(listed, before: message) {
            guard newest.count < mostMessages else { break }
            let speaker = speaker(of: candidate, to: message.appID, rules)
            guard rules.tellsOfStrangers || speaker != .person(isMember: false) else { continue }
            let text = candidate.text(bound: maxTextBytes)
            guard !text.isEmpty else { continue }
            bytes += min(text.utf8.count, maxTextBytes) + 100
            guard bytes <= maxBytes else { break }
            newest.append(Line(message: candidate, speaker: speaker, text: cut(text)))
        }
        return newest.reversed()
    }

    /// The newest first.
    private static func candidates(_ listed: [ListedMessage], before message: InboundMessage) -> [ListedMessage] {
        guard let asked = message.sentAtMilliseconds else { return [] }
        return listed.filter {
            $0.messageID != message.messageID && $0.threadID == message.threadID && !$0.isSystem && !$0.isWithdrawn
                && $0.sentAtMilliseconds <= asked && $0.sentAtMilliseconds > asked - maxAge.milliseconds
        }
        .sorted { $0.sentAtMilliseconds > $1.sentAtMilliseconds }
    }

    private static func speaker(of message: ListedMessage, to appID: String, _ rules: ContextRules) -> Speaker {
        guard message.isFromBot else { return .person(isMember: rules.members.contains(message.sender)) }
        return message.sender == appID ? .itself : .otherBot
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > maxTextBytes else { return text }
        let end = text.utf8.index(text.startIndex, offsetBy: maxTextBytes)
        return String(text.unicodeScalars[..<end]) + "…"
    }

    /// `[{"lark_message_id", "sender", "from": "user", "bot" or "self", "is_member" (of users), "content",
    /// "created_at"}]`, as workers get it.
    package static func json(_ lines: [Line]) -> String {
        let rows = lines.map { line -> [String: Any] in
            let time = Date(timeIntervalSince1970: Double(line.message.sentAtMilliseconds) / 1000)
            var row: [String: Any] = [
                "lark_message_id": line.message.messageID, "sender": line.message.sender, "content": line.text,
                "created_at": time.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            ]
            switch line.speaker {
            case .itself: row["from"] = "self"
            case .otherBot: row["from"] = "bot"
            case .person(let isMember): (row["from"], row["is_member"]) = ("user", isMember)
            }
            return row
        }
        let data = try? JSONSerialization.data(withJSONObject: rows, options: [.sortedKeys])
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    }
}
