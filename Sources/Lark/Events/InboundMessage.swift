/// A chat message as the gateway stores it: the platform's event, decoded, flattened to text and checked.
package struct InboundMessage: Sendable, Equatable {
    package enum ChatType: String, Sendable, CaseIterable {
        case p2p
        case group
    }

    /// Why a message is not to be looked at further; it is audited under this reason.
    package enum Fault: String, Sendable, CaseIterable {
        case invalidEvent = "invalid_event"
        case appSender = "app_sender"
    }

    package var appID: String
    package var eventID: String = ""
    package var messageID: String = ""
    package var chatID: String = ""
    /// Empty outside a topic.
    package var threadID: String = ""
    package var chatType: ChatType = .p2p
    /// The sender's open_id.
    package var sender: String = ""
    /// What an agent reads.
    package var content: String = ""
    /// Milliseconds since 1970, by the platform's clock.
    package var sentAtMilliseconds: Int64?
    /// Meant for the bot: a p2p chat, or a group message that mentions it.
    package var isAddressed = false
    /// A group message that mentions somebody while nobody knows who the bot is: whether it is addressed can't be told
    /// yet.
    package var awaitsIdentity = false
    package var fault: Fault?
    /// What made it invalid, for the log; never the body.
    package var faultReason: String?
    /// U+FFFD stands where NUL, broken UTF-8 or half a surrogate pair stood.
    package var wasRepaired = false

    package init(appID: String) {
        self.appID = appID
    }
}

/// Who the bot is, as far as is known.
package struct BotIdentity: Sendable, Equatable {
    package var openID: String?
    package var unionID: String?

    package init(openID: String? = nil, unionID: String? = nil) {
        self.openID = openID
        self.unionID = unionID
    }

    package var isKnown: Bool { openID != nil || unionID != nil }

    /// open_id is written for the app that receives an event, so with several bots in a group only the union_id tells
    /// which was meant: with a known union_id nothing else counts.
    func isMentioned(by mention: Mention) -> Bool {
        if let unionID { return mention.unionID == unionID }
        guard let openID else { return false }
        return mention.openID == openID
    }
}

/// A row of an event's `mentions`.
package struct Mention: Sendable, Equatable {
    let key: String
    let openID: String?
    let unionID: String?
    let name: String

    /// Of one message; those beyond are as unknown keys. The platform's own limit is far lower.
    static let mostLookedAt = 1_000

    package init?(_ json: JSONValue) {
        guard let key = json["key"].word, !key.isEmpty else { return nil }
        self.key = key
        openID = json["id"]["open_id"].word
        unionID = json["id"]["union_id"].word
        name = json["name"].string ?? ""
    }
}
