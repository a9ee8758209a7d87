import Lark

/// Which messages an agent's reply becomes.
package enum ReplyFormat {
    /// The platform's bounds for the body of a request that sends a text or a card, less the envelope.
    package static let maxTextBytes = 148_000
    package static let maxCardBytes = 28_000

    /// Cards where the text has Markdown signs, else texts; as many as it needs.
    /// - Parameter allowed: whom it may mention.
    package static func contents(
        _ text: String, mentioning allowed: AllowedMentions, maxTextBytes: Int = maxTextBytes,
        maxCardBytes: Int = maxCardBytes
    ) -> [OutboundContent] {
        guard MarkdownSigns.areIn(text) else {
            // Converted before it is measured.
            return MessageText(text, mentioning: allowed).parts { TextParts.split($0, maxBytes: maxTextBytes) }
                .map { .text($0) }
        }
        return CardMarkdown(text, mentioning: allowed)
            .parts { TextParts.splitMarkdown($0, maxBytes: maxCardBytes) }.map { .markdownCard($0) }
    }
}
