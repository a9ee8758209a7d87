/// What a person says to the gateway itself instead of to the agent.
package enum ChatCommand: Sendable, Equatable {
    /// Makes an issue. An empty title: the first line of the message before.
    case issue(title: String, description: String)
    /// Starts a fresh context, with this text as its first message where there is one.
    case new(text: String)
    case help
    case status

    /// Reads what a person wrote, the mention of the bot taken out. The first line that is not empty decides; `/help`
    /// and `/status` are all that the message says, so that an agent may have commands that begin with these words.
    ///
    /// Over Unicode scalars: to compare a Character of very many combining marks takes the square of them.
    package init?(_ text: String) {
        guard let start = text.unicodeScalars.first(where: { !Self.isSpace($0) }), start == "/" else { return nil }
        let trimmed = Self.trim(text.unicodeScalars[...])
        let line = trimmed.prefix { !Self.isLineEnd($0) }
        let word = line.prefix { $0 != " " && $0 != "\t" }
        // No command is longer.
        guard word.prefix(8).count < 8 else { return nil }
        let rest = Self.trim(line[word.endIndex...])
        let below = Self.trim(trimmed[line.endIndex...])
        switch String(word) {
        case "/issue": self = .issue(title: String(rest), description: String(below))
        case "/new": self = .new(text: String(Self.trim(trimmed[word.endIndex...])))
        case "/help" where rest.isEmpty && below.isEmpty: self = .help
        case "/status" where rest.isEmpty && below.isEmpty: self = .status
        default: return nil
        }
    }

    /// As in `gateway.chat_message.command`.
    package enum Name: String, CaseIterable { case issue, new, help, status }

    package var kind: Name {
        switch self {
        case .issue: .issue
        case .new: .new
        case .help: .help
        case .status: .status
        }
    }

    package var name: String { kind.rawValue }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }

    /// Source: the Unicode Standard, section 5.8.
    private static func isLineEnd(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0A...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    private static func trim(_ text: Substring.UnicodeScalarView) -> Substring.UnicodeScalarView {
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }
}
