import AsyncRuntime

/// A call of the open API that did not do what it should.
package struct OpenAPIError: Error, Sendable, CustomStringConvertible {
    /// What to do about it; source: the platform's "Error codes" page of each call.
    package enum Remedy: Sendable, Equatable {
        /// Again later, with the same uuid.
        case retry(after: Duration?)
        /// A code that nobody knows: a few times, since it may pass, then never.
        case retrySomeTimes(after: Duration?)
        /// Again with a new token, once.
        case renewToken
        /// Never: a person must act, or nobody can.
        case giveUp
        /// The content was refused: once more as plain text.
        case sendAsText
        /// What is answered can't be answered any more: to the chat instead. `evenFromTopic` where the answer of a
        /// topic may go to the whole chat.
        case sendToChat(evenFromTopic: Bool)
    }

    package let call: String
    /// The platform's code; nil where no JSON came.
    package let code: Int?
    package let status: Int?
    package let message: String
    /// For the platform's support.
    package let logID: String?
    package let remedy: Remedy

    /// Without what differs each time.
    package var kind: String { "\(call) \(code ?? -1) \(status ?? -1)" }

    package var description: String {
        var words = ["\(call):"]
        if let code { words.append("code \(code)") } else if let status { words.append("HTTP \(status)") }
        words.append(message)
        if let logID { words.append("(log id \(logID))") }
        return words.joined(separator: " ")
    }

    /// For people in a chat: what the code means, never the platform's own words.
    package var reason: String {
        Self.advice(code: code) ?? code.map { "the platform refused it with the code \($0)" }
            ?? "the platform did not take it"
    }

    /// A person must grant it in the developer console.
    package var isMissingPermission: Bool { code == 99_991_672 || code == 230_027 || code == 99_991_679 }

    /// The platform refuses the whole app for a while, not this message.
    package var isAppTooFast: Bool { code == 99_991_400 || isQuotaUsedUp || (status == 429 && code != 230_020) }

    /// The app's calls of the month.
    private var isQuotaUsedUp: Bool { code == Self.quotaUsedUp }
    private static let quotaUsedUp = 99_991_403
    /// "app do not have bot": of the bot's own calls.
    private static let botIsOff = 11_205

    /// The refusal is about the chat or the app: nothing else can be said there either.
    package var closesChat: Bool {
        switch code {
        case 230_002, 230_006, Self.botIsOff, 230_013, 230_018, 230_035, 10_003, 10_014: true
        default: isMissingPermission
        }
    }

    /// The platform did not answer: it can't be reached, or was silent for too long.
    package var isUnanswered: Bool { code == nil && status == nil && remedy != .giveUp }

    /// The code decides, with HTTP 200 or 4xx alike; a 5xx may have been taken all the same, whatever its code.
    static func remedy(code: Int?, status: Int, retryAfter: Duration?) -> Remedy {
        if status >= 500 { return .retry(after: retryAfter) }
        return switch code {
        case 99_991_663, 99_991_664, 99_991_671, 99_991_661: .renewToken
        // 1500, 2200, 11232, 11247: the platform's own trouble, which it answers with 400.
        case 99_991_400, 230_020, 230_049, 1_500, 2_200, 11_232, 11_247: .retry(after: retryAfter)
        case quotaUsedUp: .retry(after: max(retryAfter ?? .zero, .seconds(60)))
        case 230_001, 230_025, 230_099: .sendAsText
        case 230_071, 230_072: .sendToChat(evenFromTopic: true)
        case 230_011, 230_019, 230_050, 230_110, 230_111, 231_003: .sendToChat(evenFromTopic: false)
        case 99_991_672, 230_027, 99_991_679, 230_002, 230_006, 230_013, 230_018, 230_035, 230_022, 230_028, 10_003,
            10_014, botIsOff:
            .giveUp
        case .some: status == 429 ? .retry(after: retryAfter) : .retrySomeTimes(after: retryAfter)
        case nil: .retry(after: retryAfter)
        }
    }

    /// What an operator can do about the code.
    static func advice(code: Int?) -> String? {
        switch code {
        case 99_991_672, 230_027, 99_991_679:
            "the app lacks a permission: grant it in the developer console and publish"
        case 230_002: "the bot is not in the chat"
        case 230_006, botIsOff: "the bot ability is off: turn it on in the developer console and publish"
        case 230_013: "this person is outside the app's availability"
        case 230_018, 230_035: "the bot may not speak in this chat"
        case 230_022, 230_028: "refused by the content check of the platform or the tenant"
        case 10_003, 10_014: "wrong app_id or app_secret"
        case quotaUsedUp: "the app has used up its calls of this month: see the developer console"
        default: nil
        }
    }
}
