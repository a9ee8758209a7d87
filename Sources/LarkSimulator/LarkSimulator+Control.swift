import HTTPServer
import Lark

/// What people drive it with over HTTP.
extension LarkSimulator {
    /// `POST /control/messages`, `GET /control/sent`, `GET /control/deliveries`, `POST /control/cut`.
    func control(_ method: String, _ call: String, _ body: JSONValue?) async -> HTTPResponse {
        switch (method, call) {
        case ("POST", "messages"):
            guard let body, let text = body["text"].string else {
                return .text("POST a JSON object with text, and chat_id, chat_type, sender, thread_id\n", status: 400)
            }
            let appID = body["app_id"].string ?? apps.keys.sorted().first ?? ""
            guard apps[appID] != nil else { return .text("no app \(appID)\n", status: 404) }
            let message = SimulatedMessage(
                chatID: body["chat_id"].string ?? "oc_demo", chatType: body["chat_type"].string ?? "p2p",
                sender: body["sender"].string ?? "ou_you", text: text, threadID: body["thread_id"].string,
                messageID: body["message_id"].string ?? SimulatedMessage.freshID(),
                mentionsBot: body["mention_bot"].boolean ?? false)
            await send(message, to: appID)
            return Self.json(["message_id": message.messageID])
        case ("GET", "sent"):
            return Self.json(["messages": sent.map(Self.describe)])
        case ("GET", "deliveries"):
            return Self.json([
                "deliveries": deliveryStates.map { state -> [String: any Sendable] in
                    ["message_id": state.messageID, "attempts": state.attempts, "acks": state.acks]
                }
            ])
        case ("POST", "cut"):
            await cutConnections(reset: body?["reset"].boolean ?? false)
            return Self.json(["cut": true])
        default:
            return .text("no such control\n", status: 404)
        }
    }

    static func describe(_ message: SentMessage) -> [String: any Sendable] {
        [
            "message_id": message.messageID, "app_id": message.appID, "receive_id_type": message.receiverType,
            "receive_id": message.receiver, "reply_to": message.replyTo ?? "", "reply_in_thread": message.inThread,
            "msg_type": message.type, "content": message.content, "uuid": message.uuid,
        ]
    }
}
