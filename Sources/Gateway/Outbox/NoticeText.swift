import Store

/// Every text that the gateway itself says to people, in its languages, in one place.
enum NoticeText {
    struct Text: Equatable {
        let title: String
        let body: String
        /// What the button of a link says.
        var button: String?
    }

    /// - Parameters:
    ///   - agent: who says it.
    ///   - code: what a stranger is to send to an administrator; nil: a link stands beside the text.
    static func text(
        _ notice: Notice, by agent: String, in locale: InstallationSettings.Locale, code: String? = nil
    ) -> Text {
        switch (notice, locale) {
        case (.agentOffline, .en):
            Text(title: agent, body: "I am offline right now. Your message is kept, and is answered when I am back.")
        case (.agentOffline, .zh):
            Text(title: agent, body: "我现在不在线。消息已保存，上线后会回复。")
        case (.agentArchived, .en):
            Text(title: agent, body: "This agent has been archived and does not answer any more.")
        case (.agentArchived, .zh):
            Text(title: agent, body: "该智能体已归档，不再回复消息。")
        case (.runFailed(let reason, let isSetAside), .en):
            Text(
                title: agent,
                body: "I could not finish this: \(plain(reason))\n"
                    + (isSetAside
                        ? "You have begun afresh since, so I leave it at that."
                        : "Your messages are included in my next run."))
        case (.runFailed(let reason, let isSetAside), .zh):
            Text(
                title: agent,
                body: "本次处理失败：\(plain(reason))\n" + (isSetAside ? "对话已重新开始，不再处理这些消息。" : "下次处理时会再次包含这些消息。"))
        case (.replyUndelivered(let reason), .en):
            Text(title: agent, body: "I had an answer, but it could not be delivered: \(plain(reason))")
        case (.replyUndelivered(let reason), .zh):
            Text(title: agent, body: "回复已生成，但未能送达：\(plain(reason))")
        case (.nonWorkspaceMember, .en):
            Text(title: agent, body: "You are not a member of this workspace any more. Please ask an administrator.")
        case (.nonWorkspaceMember, .zh):
            Text(title: agent, body: "你已不是该工作区的成员，请联系管理员。")
        case (.needsBinding, .en):
            if let code {
                Text(
                    title: agent,
                    body:
                        "I don't know you yet, so I can't read your messages. Please send this code to an administrator "
                        + "within 15 minutes, and write to me again when they have approved it: **\(code)**")
            } else {
                Text(
                    title: agent,
                    body:
                        "I don't know you yet, so I can't read your messages. Please connect within 15 minutes, and "
                        + "write to me again then. The link is yours alone: don't pass it on.", button: "Connect")
            }
        case (.needsBinding, .zh):
            if let code {
                Text(
                    title: agent,
                    body: "我还不认识你，无法处理你的消息。请在 15 分钟内把此验证码发给管理员，批准后再给我发消息：**\(code)**")
            } else {
                Text(
                    title: agent, body: "我还不认识你，无法处理你的消息。请在 15 分钟内完成绑定，然后再给我发消息。此链接仅供你本人使用，请勿转发。",
                    button: "绑定")
            }
        case (.bound(let member, let workspace), .en):
            Text(
                title: agent,
                body:
                    "You are connected, as \(plain(member)) of \(plain(workspace)). Write to me: I read your messages now."
            )
        case (.bound(let member, let workspace), .zh):
            Text(title: agent, body: "绑定成功：你是 \(plain(workspace)) 的 \(plain(member))。现在可以给我发消息了。")
        case (.contextStarted, .en):
            Text(title: agent, body: "A fresh start: I have forgotten what we talked about before.")
        case (.contextStarted, .zh):
            Text(title: agent, body: "已开始新的对话，之前的内容不再作为上下文。")
        case (.issueCreated(let key, let title), .en):
            Text(title: agent, body: "Created \(key): \(plain(title))")
        case (.issueCreated(let key, let title), .zh):
            Text(title: agent, body: "已创建 \(key)：\(plain(title))")
        case (.issueUsage, .en):
            Text(
                title: agent,
                body: "An issue needs a title: write /issue and the title in one line, and the description below it.")
        case (.issueUsage, .zh):
            Text(title: agent, body: "请提供标题：在 /issue 后面写标题，下一行开始写描述。")
        case (.help, .en):
            Text(
                title: agent,
                body: """
                    Write to me, and I answer; in a group, mention me.
                    **/issue** TITLE: makes an issue; what stands below the line is its description
                    **/new**: starts afresh, without what was said before
                    **/status**: whether I am at work
                    **/help**: this
                    """)
        case (.help, .zh):
            Text(
                title: agent,
                body: """
                    直接给我发消息即可，在群里请 @我。
                    **/issue** 标题：创建一个任务，下面各行是描述
                    **/new**：开始新的对话，不再带上之前的内容
                    **/status**：查看我的状态
                    **/help**：显示本帮助
                    """)
        case (.status(let state, let waiting, let isRunning), .en):
            Text(title: agent, body: english(state, waiting, isRunning))
        case (.status(let state, let waiting, let isRunning), .zh):
            Text(title: agent, body: chinese(state, waiting, isRunning))
        }
    }

    private static func english(_ state: Notice.AgentState, _ waiting: Int, _ isRunning: Bool) -> String {
        let own =
            switch state {
            case .online: isRunning ? "I am working on an answer." : "I am here."
            case .offline: "I am offline."
            case .archived: "I have been archived and do not answer any more."
            }
        return switch waiting {
        case 0: "\(own) Nothing waits for me in this chat."
        case 1: "\(own) One message waits for me in this chat."
        default: "\(own) \(waiting) messages wait for me in this chat."
        }
    }

    private static func chinese(_ state: Notice.AgentState, _ waiting: Int, _ isRunning: Bool) -> String {
        let own =
            switch state {
            case .online: isRunning ? "我正在处理。" : "我在线。"
            case .offline: "我不在线。"
            case .archived: "该智能体已归档，不再回复消息。"
            }
        return waiting == 0 ? "\(own)本会话没有等待处理的消息。" : "\(own)本会话有 \(waiting) 条消息等待处理。"
    }

    /// What others wrote, in a card: its signs mean nothing there, least of all a mention of everybody. Source: "Rich
    /// text component (Markdown)", special characters.
    static func plain(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<", ">", "*", "_", "~", "`", "[", "]", "#", "&", "\\", "|", "!": escaped += "&#\(scalar.value);"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
