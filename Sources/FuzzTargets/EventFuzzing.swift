import Lark

enum EventFuzzing {
    private static let decoder = EventDecoder(
        appID: "cli_fuzz", bot: BotIdentity(openID: "ou_bot", unionID: "on_bot"))

    static func run(_ bytes: [UInt8]) {
        guard case .message(let message) = decoder.decode(bytes) else { return }
        let texts = [
            message.eventID, message.messageID, message.chatID, message.threadID, message.sender, message.content,
        ]
        // Postgres stores no NUL.
        precondition(!texts.contains { $0.utf8.contains(0) }, "a NUL goes to the database")
        precondition(texts.dropLast().allSatisfy { $0.utf8.count <= 256 }, "an id that fits into no index")
        guard message.fault == nil else { return }
        precondition(!message.messageID.isEmpty && !message.chatID.isEmpty, "a message without a key")
        precondition(message.content.utf8.count <= 1 << 20, "a text over the bound")
    }
}
