import Foundation

/// What a message says, in the platform's form. Source: "Send message content".
package enum OutboundContent: Sendable, Equatable {
    case text(MessageText)
    /// A card of schema 2.0 with one markdown element.
    case markdownCard(CardMarkdown)
    /// A card with a coloured head and a text below.
    case headedCard(title: String, color: HeadColor, text: String)
    /// The same with a button below, which opens a page.
    case linkCard(title: String, color: HeadColor, text: String, button: String, url: String)

    package enum HeadColor: String, Sendable { case grey, blue }

    var messageType: String {
        switch self {
        case .text: "text"
        case .markdownCard, .headedCard, .linkCard: "interactive"
        }
    }

    /// The content as the API wants it: JSON inside a string.
    package var json: String {
        switch self {
        case .text(let text):
            return Self.encode(["text": text.string])
        case .markdownCard(let text):
            return Self.encode(["schema": "2.0", "body": ["elements": [["tag": "markdown", "content": text.string]]]])
        case .headedCard(let title, let color, let text):
            return Self.card(title, color, [["tag": "markdown", "content": text]])
        case .linkCard(let title, let color, let text, let button, let url):
            return Self.card(
                title, color,
                [
                    ["tag": "markdown", "content": text],
                    [
                        "tag": "button", "type": "primary", "text": ["tag": "plain_text", "content": button],
                        "behaviors": [["type": "open_url", "default_url": url]],
                    ],
                ])
        }
    }

    /// The plain text of it, for a second try where a card was refused.
    package var asText: OutboundContent {
        switch self {
        case .text: return self
        case .markdownCard(let text): return .text(MessageText(secondTryOf: text))
        case .headedCard(let title, _, let text):
            return .text(MessageText(withoutMentions: "\(title)\n\(Self.unescape(text))"))
        case .linkCard(let title, _, let text, let button, let url):
            return .text(MessageText(withoutMentions: "\(title)\n\(Self.unescape(text))\n\(button): \(url)"))
        }
    }

    /// What stood escaped for the card's Markdown.
    private static func unescape(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "&")) else { return MentionSyntax.neutralized(text) }
        let bytes = Array(text.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let (scalar, end) = reference(bytes[index...]) {
                out += String(scalar).utf8
                index = end
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return MentionSyntax.neutralized(String(decoding: out, as: UTF8.self))
    }

    /// Such as `&#42;`, of up to seven digits, at the beginning of `text`; and where it ends.
    private static func reference(_ text: ArraySlice<UInt8>) -> (Unicode.Scalar, end: Int)? {
        guard text.starts(with: "&#".utf8) else { return nil }
        let digits = text.dropFirst(2).prefix(8).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard (1...7).contains(digits.count), digits.endIndex < text.endIndex,
            text[digits.endIndex] == UInt8(ascii: ";"),
            let scalar = UInt32(String(decoding: digits, as: UTF8.self)).flatMap(Unicode.Scalar.init)
        else { return nil }
        return (scalar, digits.endIndex + 1)
    }

    private static func card(_ title: String, _ color: HeadColor, _ elements: [[String: Any]]) -> String {
        encode([
            "schema": "2.0",
            "header": ["title": ["tag": "plain_text", "content": title], "template": color.rawValue],
            "body": ["elements": elements],
        ])
    }

    private static func encode(_ object: [String: Any]) -> String {
        let data = try? JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        return String(decoding: data ?? Data("{}".utf8), as: UTF8.self)
    }
}
