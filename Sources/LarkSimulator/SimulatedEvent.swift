import Foundation

/// Events as the platform writes them (`im.message.receive_v1`, schema 2.0).
package enum SimulatedEvent {
    package static func payload(_ message: SimulatedMessage, app: SimulatedApp, eventID: String) -> [UInt8] {
        let now = String(Int(Date().timeIntervalSince1970 * 1000))
        var body: [String: Any] = [
            "message_id": message.messageID, "create_time": now, "update_time": now, "chat_id": message.chatID,
            "chat_type": message.chatType, "message_type": message.messageType, "content": message.content,
        ]
        if let thread = message.threadID { body["thread_id"] = thread }
        var mentions: [[String: Any]] = []
        if message.mentionsBot {
            let id = ["open_id": app.botOpenID, "union_id": app.botUnionID, "user_id": ""]
            mentions.append(["key": "@_user_1", "id": id, "name": "Bot", "tenant_key": "t1"])
        }
        for (index, name) in message.mentionedNames.enumerated() {
            let id = ["open_id": "ou_mentioned_\(index)", "union_id": "on_mentioned_\(index)", "user_id": ""]
            mentions.append(["key": "@_user_\(index + 2)", "id": id, "name": name, "tenant_key": "t1"])
        }
        if !mentions.isEmpty { body["mentions"] = mentions }
        let sender: [String: Any] = [
            "sender_id": ["open_id": message.sender, "union_id": "on_\(message.sender)", "user_id": NSNull()],
            "sender_type": message.senderType, "tenant_key": "t1",
        ]
        let header: [String: Any] = [
            "event_id": eventID, "event_type": "im.message.receive_v1", "create_time": now, "token": "",
            "app_id": app.id, "tenant_key": "t1",
        ]
        let event: [String: Any] = ["sender": sender, "message": body]
        return Array(JSONText.encode(["schema": "2.0", "header": header, "event": event] as [String: Any]).utf8)
    }
}
