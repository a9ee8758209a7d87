/// Every text that the gateway itself says to people, in its languages, in one place.
enum NoticeText {
    enum Notice: Equatable {
        case agentOffline(agent: String)
        case agentArchived(agent: String)
        case runFailed(agent: String, reason: String)
        case nonWorkspaceMember(agent: String)
        case needsBinding(agent: String, code: String)
    }

    struct Text: Equatable {
        let title: String
        let body: String
    }

    static func text(_ notice: Notice, _ locale: InstallationSettings.Locale) -> Text {
        switch (notice, locale) {
        case (.agentOffline(let agent), .en):
            Text(title: agent, body: "I am offline right now. Your message is kept, and is answered when I am back.")
        case (.agentOffline(let agent), .zh):
            Text(title: agent, body: "我现在不在线。消息已保存，上线后会回复。")
        case (.agentArchived(let agent), .en):
            Text(title: agent, body: "This agent has been archived and does not answer any more.")
        case (.agentArchived(let agent), .zh):
            Text(title: agent, body: "该智能体已归档，不再回复消息。")
        case (.runFailed(let agent, let reason), .en):
            Text(title: agent, body: "I could not finish this: \(reason)\nYour messages are included in my next run.")
        case (.runFailed(let agent, let reason), .zh):
            Text(title: agent, body: "本次处理失败：\(reason)\n下次处理时会再次包含这些消息。")
        case (.nonWorkspaceMember(let agent), .en):
            Text(title: agent, body: "You are not a member of this workspace any more. Please ask an administrator.")
        case (.nonWorkspaceMember(let agent), .zh):
            Text(title: agent, body: "你已不是该工作区的成员，请联系管理员。")
        case (.needsBinding(let agent, let code), .en):
            Text(
                title: agent,
                body: "I don't know you yet, so I can't read your messages. Please send this code to an administrator "
                    + "within 15 minutes, and write to me again when they have approved it: **\(code)**")
        case (.needsBinding(let agent, let code), .zh):
            Text(
                title: agent,
                body: "我还不认识你，无法处理你的消息。请在 15 分钟内把此验证码发给管理员，批准后再给我发消息：**\(code)**")
        }
    }
}
