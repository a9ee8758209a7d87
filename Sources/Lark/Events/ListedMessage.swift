/// A message as the list call gives it, which has other names than the event. Source: "Obtain message history".
package struct ListedMessage: Sendable, Equatable {
    package let messageID: String
    /// Empty outside a topic.
    package let threadID: String
    /// open_id, or the app id of a bot.
    package let sender: String
    package let isFromBot: Bool
    /// Milliseconds since 1970.
    package let sentAtMilliseconds: Int64
    /// Said by the system itself, such as who joined.
    package let isSystem: Bool
    package let isWithdrawn: Bool
    /// As it came: most listed messages are never read.
    private let content: MessageContent

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
        isFromBot = json["sender"]["sender_type"].word == "app"
        sentAtMilliseconds = time
        let type = EventDecoder.cut(json["msg_type"].string ?? "")
        isSystem = type == "system"
        isWithdrawn = json["deleted"].boolean ?? false
        // The bot's own mention stays in what others wrote to each other, and to it.
        content = MessageContent(
            type: type, content: json["body"]["content"].string ?? "",
            mentions: json["mentions"].array.prefix(Mention.mostLookedAt).compactMap { Mention(listed: $0) },
            bot: BotIdentity())
    }

    /// What an agent reads, decoded now; empty where it was withdrawn.
    /// - Parameter bound: a text of more bytes may be cut anywhere beyond them.
    package func text(bound: Int) -> String {
        isWithdrawn ? "" : StorableText.of(content.text(bound: bound))
    }
}

extension Mention {
    /// In a list `id` is one string.
    init?(listed json: JSONValue) {
        guard let key = json["key"].word, !key.isEmpty else { return nil }
        self.key = key
        let isUnionID = json["id_type"].word == "union_id"
        openID = isUnionID ? nil : json["id"].word
        unionID = isUnionID ? json["id"].word : nil
        name = json["name"].string ?? ""
    }
}
