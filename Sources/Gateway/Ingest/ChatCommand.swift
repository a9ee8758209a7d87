/// What a person says to the gateway itself instead of to the agent.
package enum ChatCommand: Sendable, Equatable {
    /// Makes an issue. An empty title: the first line of the message before.
    case issue(title: String, description: String)
    /// Starts a fresh context, with this text as its first message where there is one.
    case new(text: String)
    case help
    case status

    /// Reads what a person wrote, the mention of the bot taken out. The first line that is not empty decides; `/help` and
    /// `/status` are all that the message says, so that an agent may have commands that begin with these words.
    package init?(_ text: String) {
        guard let start = text.unicodeScalars.first(where: { !Self.isSpace($0) }), start == "/" else { return nil }
        let trimmed = Self.trim(text[...])
        let line = trimmed.prefix { !$0.isNewline }
        let word = line.prefix { $0 != " " && $0 != "\t" }
        let rest = Self.trim(line.dropFirst(word.count))
        let below = Self.trim(trimmed.dropFirst(line.count))
        switch word {
        case "/issue": self = .issue(title: String(rest), description: String(below))
        case "/new": self = .new(text: String(Self.trim(trimmed.dropFirst(word.count))))
        case "/help" where rest.isEmpty && below.isEmpty: self = .help
        case "/status" where rest.isEmpty && below.isEmpty: self = .status
        default: return nil
        }
    }

    /// As in `gateway.chat_message.command`.
    var name: String {
        switch self {
        case .issue: "issue"
        case .new: "new"
        case .help: "help"
        case .status: "status"
        }
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

    private static func trim(_ text: Substring) -> Substring {
        var text = text.drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
