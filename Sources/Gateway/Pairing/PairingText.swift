import Store

/// What the pairing page says, in its languages, in one place. Plain text.
struct PairingText: Sendable, Equatable {
    let title: String
    var paragraphs: [String]
    /// What went wrong, above the form.
    var problem: String?

    typealias Locale = InstallationSettings.Locale

    /// The words of the form's parts.
    struct Form: Sendable {
        let label: String
        let button: String
        let wait: String
        let back: String
    }

    static func form(_ locale: Locale) -> Form {
        switch locale {
        case .en:
            Form(
                label: "Pairing code", button: "Connect", wait: "I have no code: ask an administrator",
                back: "I have a code after all")
        case .zh: Form(label: "配对码", button: "绑定", wait: "我没有配对码：请管理员批准", back: "我有配对码")
        }
    }

    static func text(_ view: PairingView, _ locale: Locale) -> PairingText {
        switch view {
        case .form(let link, let problem):
            var text = form(link, locale)
            text.problem = problem.map { self.problem($0, triesLeft: link.triesLeft, locale) }
            return text
        case .waiting(let link, _): return waiting(link, locale)
        case .done(let link, let member): return done(link, member, locale)
        case .ended(let ending): return ended(ending, locale)
        }
    }

    private static func form(_ link: PairingLinkState, _ locale: Locale) -> PairingText {
        switch locale {
        case .en:
            PairingText(
                title: "Connect with \(link.agent)",
                paragraphs: [
                    "An administrator of \(link.workspace) gave you a pairing code. Enter it here, and \(link.agent) "
                        + "will read your messages.",
                    "Go on only if you wrote to \(link.agent) yourself. If somebody sent you this link, close the page: "
                        + "your code would let them in, in your name.",
                ])
        case .zh:
            PairingText(
                title: "绑定 \(link.agent)",
                paragraphs: [
                    "请输入 \(link.workspace) 的管理员给你的配对码，之后 \(link.agent) 就能处理你的消息。",
                    "仅当你自己给 \(link.agent) 发过消息时才继续。如果链接是别人发给你的，请关闭页面：你的配对码会让对方以你的身份使用。",
                ])
        }
    }

    private static func waiting(_ link: PairingLinkState, _ locale: Locale) -> PairingText {
        switch locale {
        case .en:
            PairingText(
                title: "Waiting for an administrator",
                paragraphs: [
                    "Send this code to an administrator of \(link.workspace). This page looks by itself whether they have "
                        + "approved it; you can also close it: \(link.agent) will write to you."
                ])
        case .zh:
            PairingText(
                title: "等待管理员批准",
                paragraphs: ["请把此验证码发给 \(link.workspace) 的管理员。批准后页面会自动更新；也可以关闭页面，\(link.agent) 会通知你。"])
        }
    }

    private static func done(_ link: PairingLinkState, _ member: String, _ locale: Locale) -> PairingText {
        switch locale {
        case .en:
            PairingText(
                title: "You are connected",
                paragraphs: [
                    "You are \(member) of \(link.workspace). Go back to the chat and write to \(link.agent) again: what you "
                        + "wrote before was not kept."
                ])
        case .zh:
            PairingText(
                title: "绑定成功",
                paragraphs: ["你是 \(link.workspace) 的 \(member)。请回到聊天重新给 \(link.agent) 发消息：之前的消息没有保存。"])
        }
    }

    private static func problem(_ problem: PairingView.Problem, triesLeft: Int, _ locale: Locale) -> String {
        let text =
            switch (problem, locale) {
            case (.notACode, .en): "That is no pairing code: it has 10 or 16 letters and digits, such as 7K2QF-0MXYZ."
            case (.notACode, .zh): "配对码格式不对：应为 10 或 16 个字母和数字，例如 7K2QF-0MXYZ。"
            case (.wrongCode, .en): "That code is not right. Look at it again, or ask for another."
            case (.wrongCode, .zh): "配对码不正确，请核对或向管理员索取新的。"
            case (.invitationUsed, .en): "That code was used already. Ask an administrator for another."
            case (.invitationUsed, .zh): "该配对码已被使用，请向管理员索取新的。"
            case (.invitationExpired, .en): "That code is too old. Ask an administrator for another."
            case (.invitationExpired, .zh): "该配对码已过期，请向管理员索取新的。"
            case (.wrongPerson, .en): "That code is for somebody else. Ask an administrator for one of your own."
            case (.wrongPerson, .zh): "该配对码是给另一个人的，请向管理员索取你自己的。"
            case (.memberTaken, .en):
                "That code's member is connected already, with another account. Ask an administrator."
            case (.memberTaken, .zh): "该配对码对应的成员已用其他账号绑定，请联系管理员。"
            }
        guard problem != .notACode else { return text }
        switch locale {
        case .en: return text + " Tries left: \(triesLeft)."
        case .zh: return text + "剩余次数：\(triesLeft)。"
        }
    }

    private static func ended(_ ending: PairingView.Ending, _ locale: Locale) -> PairingText {
        switch (ending, locale) {
        case (.unknown, .en):
            PairingText(
                title: "No such link",
                paragraphs: ["Open the link of the bot's newest message, or write to the bot again."])
        case (.unknown, .zh): PairingText(title: "链接不存在", paragraphs: ["请打开机器人最新消息里的链接，或重新给机器人发消息。"])
        case (.used, .en):
            PairingText(title: "This link was used", paragraphs: ["It is good for one time. Nothing changed."])
        case (.used, .zh): PairingText(title: "链接已被使用", paragraphs: ["每个链接只能使用一次，没有任何更改。"])
        case (.expired, .en):
            PairingText(
                title: "This link is too old",
                paragraphs: ["It is good for 15 minutes. Write to the bot again: it sends you another."])
        case (.expired, .zh): PairingText(title: "链接已过期", paragraphs: ["链接 15 分钟内有效，请重新给机器人发消息获取新的链接。"])
        case (.blocked, .en):
            PairingText(
                title: "Too many wrong codes",
                paragraphs: ["This link is good for nothing any more. In 15 minutes the bot sends you another."])
        case (.blocked, .zh): PairingText(title: "错误次数过多", paragraphs: ["该链接已失效，15 分钟后机器人会发送新的链接。"])
        case (.revoked, .en):
            PairingText(title: "This bot is gone", paragraphs: ["It was disconnected. Please ask an administrator."])
        case (.revoked, .zh): PairingText(title: "机器人已停用", paragraphs: ["请联系管理员。"])
        case (.tooManyRequests, .en):
            PairingText(title: "Too many tries", paragraphs: ["Please wait a minute, then load this page again."])
        case (.tooManyRequests, .zh): PairingText(title: "操作过于频繁", paragraphs: ["请稍等一分钟后重新加载页面。"])
        case (.unavailable, .en):
            PairingText(
                title: "Not right now", paragraphs: ["Nothing is lost. Please load this page again in a minute."])
        case (.unavailable, .zh): PairingText(title: "暂时不可用", paragraphs: ["没有丢失任何内容，请一分钟后重新加载页面。"])
        case (.badRequest, .en): PairingText(title: "That did not work", paragraphs: ["Please go back and try again."])
        case (.badRequest, .zh): PairingText(title: "请求无效", paragraphs: ["请返回重试。"])
        }
    }
}
