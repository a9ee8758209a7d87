/// A message as the list call gives it, which has other names than the event. Source: "Obtain message history".
package struct ListedMessage: Sendable, Equatable {
    package let messageID: String
    /// Empty outside a topic.
    package let threadID: String
    /// open_id, or the app id of a bot.
    package let sender: String
    package let isFromBot: Bool
    /// What an agent reads; empty where it was withdrawn.
    package let text: String
    /// Milliseconds since 1970.
    package let sentAtMilliseconds: Int64
    /// Said by the system itself, such as who joined.
    package let isSystem: Bool

    /// nil: no message, or ids that are none.
    package init?(_ json: JSONValue) {
        func id(_ json: JSONValue) -> String? {
            let text = json.string ?? ""
            return text.utf8.count <= EventDecoder.maxIDBytes && !text.utf8.contains(0) ? text : nil
        }
        guard let messageID = id(json["message_id"]), !messageID.isEmpty, let threadID = id(json["thread_id"]),
            let sender = id(json["sender"]["id"]),
            let time = json["create_time"].string.flatMap({ Int64($0) }) ?? json["create_time"].integer.map(Int64.init)
        else { return nil }
        self.messageID = messageID
        self.threadID = threadID
        self.sender = sender
        isFromBot = json["sender"]["sender_type"].string == "app"
        sentAtMilliseconds = time
        let type = json["msg_type"].string ?? ""
        isSystem = type == "system"
        let mentions = json["mentions"].array.compactMap { Mention(listed: $0) }
        // The bot's own mention stays in what others wrote to each other, and to it.
        let content = MessageContent(
            type: type, content: json["body"]["content"].string ?? "", mentions: mentions, bot: BotIdentity())
        let isWithdrawn = json["deleted"].boolean ?? false
        text = isWithdrawn ? "" : content.text.replacing("\0", with: "\u{FFFD}")
    }
}

extension Mention {
    /// In a list `id` is one string.
    init?(listed json: JSONValue) {
        guard let key = json["key"].string, !key.isEmpty else { return nil }
        self.key = key
        let id = json["id"].string
        openID = json["id_type"].string == "union_id" ? nil : id
        unionID = json["id_type"].string == "union_id" ? id : nil
        name = json["name"].string ?? ""
    }
}
