/// A text whose mentions are in the form of one kind of message. Its initialisers alone convert: what has this type is
/// sent as it is, and its parts too. A part can begin within code, where a mention is meant to be read; to convert the
/// part once more would make it a real one.
package protocol ConvertedText: Sendable, Equatable {
    /// As the platform gets it.
    var string: String { get }
    /// - Parameter converted: taken from `string`.
    init(partOf whole: Self, _ converted: String)
}

extension ConvertedText {
    /// - Parameter split: cuts `string`.
    package func parts(_ split: (String) -> [String]) -> [Self] {
        split(string).map { Self(partOf: self, $0) }
    }
}

/// For a message of type `text`.
package struct MessageText: ConvertedText {
    package let string: String

    /// - Parameter written: by an agent, which may write a mention in either form.
    /// - Parameter allowed: whom it may mention.
    package init(_ written: String, mentioning allowed: AllowedMentions) {
        string = MentionSyntax.text(written, allowing: allowed)
    }

    /// - Parameter card: which was refused, for a second try as a text.
    init(secondTryOf card: CardMarkdown) {
        string = MentionSyntax.text(ofCard: card.string)
    }

    /// - Parameter words: which mention nobody, such as a notice's.
    init(withoutMentions words: String) {
        string = words
    }

    package init(partOf whole: MessageText, _ converted: String) {
        string = converted
    }
}

/// For the Markdown of a card.
package struct CardMarkdown: ConvertedText {
    package let string: String

    /// - Parameter written: by an agent, which may write a mention in either form.
    /// - Parameter allowed: whom it may mention.
    package init(_ written: String, mentioning allowed: AllowedMentions) {
        string = MentionSyntax.card(written, allowing: allowed)
    }

    package init(partOf whole: CardMarkdown, _ converted: String) {
        string = converted
    }
}
