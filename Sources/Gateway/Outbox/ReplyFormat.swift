import Lark

/// Which messages an agent's reply becomes.
enum ReplyFormat {
    /// The platform's bounds for the body of a request that sends a text or a card, less the envelope.
    static let maxTextBytes = 148_000
    static let maxCardBytes = 28_000

    /// Cards where the text has Markdown signs, else texts; as many as it needs.
    static func contents(_ text: String) -> [OutboundContent] {
        guard MarkdownSigns.areIn(text) else {
            // Before it is measured.
            return TextParts.split(MentionSyntax.text(text), maxBytes: maxTextBytes).map { .text($0) }
        }
        return TextParts.splitMarkdown(MentionSyntax.card(text), maxBytes: maxCardBytes).map { .markdownCard($0) }
    }
}
