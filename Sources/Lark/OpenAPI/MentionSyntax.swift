/// Mentions, which texts and cards write differently: `<at user_id="ou_1">Ann</at>` and `<at id=ou_1></at>`. Agents may
/// write either; what stands in code stays as it is. Source: "Send message content" and "Markdown component of cards".
package enum MentionSyntax {
    /// For the Markdown of a card.
    package static func card(_ text: String) -> String {
        rewritten(text) { id, _ in "<at id=\(id)></at>" }
    }

    /// For a text message.
    package static func text(_ text: String) -> String {
        rewritten(text) { id, name in "<at user_id=\"\(id)\">\(name)</at>" }
    }

    /// What people wrote, in a text: it mentions nobody. Texts have no escapes, so a space without width stands between.
    static func neutralized(_ text: String) -> String {
        text.replacing(/<(?=\/?at\b)/.ignoresCase(), with: "<\u{200B}")
    }

    private static func rewritten(_ text: String, _ mention: (_ id: Substring, _ name: Substring) -> String) -> String {
        guard text.contains("<at ") else { return text }
        // Code first, so that it is passed over.
        let pattern =
            /(?s)```.*?(?:```|$)|`[^`\n]+`|<at +(?:user_id|open_id|id) *= *(?:"([\w@.\-]{1,64})"|([\w@.\-]{1,64})) *>([^<\n]{0,100})<\/at>/
            .asciiOnlyWordCharacters()
        return text.replacing(pattern) { match in
            guard let id = match.1 ?? match.2 else { return String(match.0) }
            return mention(id, match.3 ?? "")
        }
    }
}
