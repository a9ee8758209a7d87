import Lark

/// Which messages an agent's reply becomes.
enum ReplyFormat {
    /// The platform's bounds for the body of a request that sends a text or a card, less the envelope.
    static let maxTextBytes = 148_000
    static let maxCardBytes = 28_000

    /// Cards where the text has Markdown signs, else texts; as many as it needs.
    static func contents(_ text: String) -> [OutboundContent] {
        guard MarkdownSigns.areIn(text) else {
            // Converted before it is measured.
            return MessageText(text).parts { TextParts.split($0, maxBytes: maxTextBytes) }.map { .text($0) }
        }
        return CardMarkdown(text).parts { TextParts.splitMarkdown($0, maxBytes: maxCardBytes) }.map {
            .markdownCard($0)
        }
    }
}
