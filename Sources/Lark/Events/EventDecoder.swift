/// From the payload of a delivery to what the gateway does with it. Pure.
package struct EventDecoder: Sendable {
    package enum Decoded: Sendable, Equatable {
        /// To be stored, or dropped with an audit row (see `fault`).
        case message(InboundMessage)
        /// An event that we have no use for.
        case ignored(type: String)
        /// No event at all.
        case undecodable(reason: String)
    }

    /// The app whose connection this is; an event without an app id counts as its own.
    private let appID: String
    private let bot: BotIdentity

    /// Text beyond this is refused as invalid: the platform's own limit is 150 KB.
    static let maxContentBytes = 1 << 20

    /// The platform's ids have some 40 bytes; what is much longer fits into no index of a database.
    static let maxIDBytes = JSONValue.maxWordBytes

    package init(appID: String, bot: BotIdentity) {
        self.appID = appID
        self.bot = bot
    }

    package func decode(_ payload: some Collection<UInt8>) -> Decoded {
        guard let json = JSONValue(parsing: payload) else { return .undecodable(reason: "not JSON") }
        guard json.isObject else { return .undecodable(reason: "not a JSON object") }
        let header = json["header"]
        guard let type = header["event_type"].string else { return .undecodable(reason: "no header.event_type") }
        guard header["event_type"].word == "im.message.receive_v1" else {
            return .ignored(type: Self.cut(clean(type)))
        }
        var message = InboundMessage(appID: Self.cut(clean(header["app_id"].string ?? appID)))
        // For the log alone.
        message.eventID = Self.cut(clean(header["event_id"].string))
        fill(&message, from: json["event"])
        return .message(message)
    }

    private func fill(_ message: inout InboundMessage, from event: JSONValue) {
        let body = event["message"]
        var overlong: String?
        /// Cut to what can be audited.
        func id(_ name: String, _ json: JSONValue) -> String {
            let text = clean(json.string)
            guard text.utf8.count > Self.maxIDBytes else { return text }
            overlong = "a \(name) of \(text.utf8.count) bytes; the limit is \(Self.maxIDBytes)"
            return Self.cut(text)
        }
        message.messageID = id("message_id", body["message_id"])
        message.chatID = id("chat_id", body["chat_id"])
        message.threadID = id("thread_id", body["thread_id"])
        message.sender = id("sender", event["sender"]["sender_id"]["open_id"])
        message.chatType = body["chat_type"].word == "p2p" ? .p2p : .group
        message.sentAtMilliseconds = body["create_time"].integer.flatMap(Self.milliseconds)

        if let overlong { return refuse(&message, overlong) }
        let senderType = event["sender"]["sender_type"].word
        if message.messageID.isEmpty || message.chatID.isEmpty {
            return refuse(&message, "no \(message.messageID.isEmpty ? "message_id" : "chat_id")")
        }
        guard senderType != "app" else {
            message.fault = .appSender
            return
        }
        guard !message.sender.isEmpty else { return refuse(&message, "no sender") }

        let mentions = body["mentions"].array.prefix(Mention.mostLookedAt).compactMap { Mention($0) }
        message.isAddressed = message.chatType == .p2p || mentions.contains { bot.isMentioned(by: $0) }
        // The platform gives everybody no row; a row of that key would be nobody either.
        message.awaitsIdentity =
            message.chatType == .group && !bot.isKnown && mentions.contains { $0.key != "@_all" }
        let content = MessageContent(
            type: Self.cut(body["message_type"].string ?? ""), content: body["content"].string ?? "",
            mentions: mentions, bot: bot)
        // Measured as it is stored.
        let text = clean(content.text(bound: Self.maxContentBytes))
        guard text.utf8.count <= Self.maxContentBytes else {
            return refuse(&message, "a text of over \(Self.maxContentBytes) bytes")
        }
        message.content = text
        message.wasRepaired = StorableText.wasRepaired(text)
    }

    private func refuse(_ message: inout InboundMessage, _ reason: String) {
        message.fault = .invalidEvent
        message.faultReason = reason
    }

    /// The whole characters within the bound of an id.
    static func cut(_ text: String) -> String {
        var end = text.utf8.index(text.startIndex, offsetBy: maxIDBytes, limitedBy: text.endIndex) ?? text.endIndex
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text.unicodeScalars[..<end])
    }

    private func clean(_ text: String?) -> String { text.map(StorableText.of) ?? "" }

    /// Some times are in microseconds: judged by their length. What is out of any calendar is `nil`.
    private static func milliseconds(_ time: Int) -> Int64? {
        let value = Int64(time >= 100_000_000_000_000 ? time / 1000 : time)
        return (0...4_102_444_800_000).contains(value) ? value : nil
    }
}
