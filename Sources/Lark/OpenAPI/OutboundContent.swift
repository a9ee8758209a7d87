import Foundation

/// What a message says, in the platform's form. Source: "Send message content".
package enum OutboundContent: Sendable, Equatable {
    case text(String)
    /// A card of schema 2.0 with one markdown element.
    case markdownCard(String)
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
            return Self.encode(["text": MentionSyntax.text(text)])
        case .markdownCard(let text):
            let content = MentionSyntax.card(text)
            return Self.encode(["schema": "2.0", "body": ["elements": [["tag": "markdown", "content": content]]]])
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
        case .text(let text), .markdownCard(let text): return .text(text)
        case .headedCard(let title, _, let text): return .text("\(title)\n\(Self.unescape(text))")
        case .linkCard(let title, _, let text, let button, let url):
            return .text("\(title)\n\(Self.unescape(text))\n\(button): \(url)")
        }
    }

    /// What stood escaped for the card's Markdown.
    private static func unescape(_ text: String) -> String {
        MentionSyntax.neutralized(
            text.replacing(/&#(\d{1,7});/) { match in
                UInt32(match.1).flatMap(Unicode.Scalar.init).map { String(Character($0)) } ?? String(match.0)
            })
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
