/// An app that exists on the simulated platform.
package struct SimulatedApp: Sendable, Equatable {
    package let id: String
    package let secret: String
    package let botOpenID: String
    package let botUnionID: String

    package init(id: String, secret: String) {
        self.id = id
        self.secret = secret
        botOpenID = "ou_bot_\(id)"
        botUnionID = "on_bot_\(id)"
    }
}

/// A message that a person writes on the simulated platform.
package struct SimulatedMessage: Sendable {
    package var chatID: String
    package var chatType: String
    package var sender: String
    package var threadID: String?
    package var messageType: String
    /// JSON, as the platform puts it into the event.
    package var content: String
    package var messageID: String
    package var mentionsBot: Bool
    /// Other people who are mentioned, by name; their keys are `@_user_2`, `@_user_3` and so on.
    package var mentionedNames: [String] = []
    package var senderType = "user"

    package init(
        chatID: String, chatType: String = "p2p", sender: String, text: String, threadID: String? = nil,
        messageID: String = SimulatedMessage.freshID(), mentionsBot: Bool = false
    ) {
        self.chatID = chatID
        self.chatType = chatType
        self.sender = sender
        self.threadID = threadID
        messageType = "text"
        content = JSONText.encode(["text": mentionsBot ? "@_user_1 \(text)" : text])
        self.messageID = messageID
        self.mentionsBot = mentionsBot
    }

    package static func freshID() -> String {
        "om_" + (0..<16).map { _ in String(UInt8.random(in: 0...15), radix: 16) }.joined()
    }
}

/// What a bot sent.
package struct SentMessage: Sendable, Equatable {
    package let messageID: String
    package let appID: String
    /// chat_id or open_id; empty for an answer to a message.
    package let receiverType: String
    package let receiver: String
    package let replyTo: String?
    package let inThread: Bool
    package let type: String
    package let content: String
    package let uuid: String
}

/// A message that stood in a chat before.
package struct HistoricMessage: Sendable {
    package var chatID: String
    package var threadID: String?
    package var messageID = SimulatedMessage.freshID()
    package var sender: String
    package var senderType = "user"
    package var text: String
    package var sentAtMilliseconds: Int64

    package init(chatID: String, threadID: String? = nil, sender: String, text: String, sentAtMilliseconds: Int64) {
        self.chatID = chatID
        self.threadID = threadID
        self.sender = sender
        self.text = text
        self.sentAtMilliseconds = sentAtMilliseconds
    }

    /// As the list call gives it.
    var json: [String: any Sendable] {
        var json: [String: any Sendable] = [
            "message_id": messageID, "msg_type": "text", "create_time": "\(sentAtMilliseconds)", "chat_id": chatID,
            "deleted": false, "body": ["content": JSONText.encode(["text": text])],
            "sender": ["id": sender, "id_type": senderType == "app" ? "app_id" : "open_id", "sender_type": senderType],
        ]
        json["thread_id"] = threadID
        return json
    }
}

/// What goes wrong with a call that sends a message.
package struct APIFault: Sendable {
    package var status = 200
    package var body = ""
    package var headers: [String: String] = [:]
    /// The message stands in the chat all the same; its sender does not hear of it.
    package var isTaken = false
    /// Before the answer.
    package var delay: Duration = .zero
    /// Half of the answer comes, then the connection ends.
    package var isCutOff = false

    package init(status: Int = 200, body: String = "") {
        self.status = status
        self.body = body
    }
}

/// How a delivery stands.
package struct DeliveryState: Sendable, Equatable {
    package let id: String
    package let messageID: String
    package var attempts: Int
    /// The code of every ack that came, in order.
    package var acks: [Int]
    /// For each attempt that was written to a connection: its place among everything that was ever written.
    package var written: [Int] = []

    package var isSettled: Bool { acks.contains(200) }
}
