import AsyncRuntime

/// Texts of any length that somebody may send, each of one kind: what a scanner that goes back would take the square
/// of.
package enum OutsideText {
    package struct Kind: Sendable, CustomStringConvertible {
        package let description: String
        private let prefix: String
        private let unit: String
        /// Comes as often as the unit, behind all of them.
        private let closing: String

        init(_ unit: String, prefix: String = "", closing: String = "") {
            description = "\(prefix)\(unit)...\(closing)".debugDescription
            (self.prefix, self.unit, self.closing) = (prefix, unit, closing)
        }

        /// Of `bytes` bytes, roughly.
        package func text(_ bytes: Int) -> String {
            let count = max(1, bytes / (unit.utf8.count + closing.utf8.count))
            return prefix + String(repeating: unit, count: count) + String(repeating: closing, count: count)
        }
    }

    package static let kinds: [Kind] = units.map { Kind($0) } + behindSomething + nested + [mixed]

    /// Each sign of ASCII by itself, white space, and beginnings of what is looked for.
    private static let units: [String] =
        (0x21...0x7E).compactMap { Unicode.Scalar($0) }.filter { !$0.properties.isAlphabetic && !$0.isDigit }.map {
            String($0)
        }
        + ["\n", " ", "\t", "\r\n", "\r", "\u{2028}", "\0", "a", "1", "語", "\u{3000}", "👨‍👩‍👧‍👦", "🇩🇪", "\u{FFFD}"]
        + [
            "[a](", "](", "[a]", "@_", "@_user_1", "@_user_12 ", "* ", "- ", "| ", "|a", "|a|b", "# ", "1.", "**a",
            "**a\n", "*a",
        ]
        + [
            "`a", "`a\n", "```", "```\n", "<at ", "<at id=", "<at id=a>", "<at id=a>b", "</at>", "&#", "&#42", "&#42;",
            "\\\"", "/a",
        ]
        + [" \n", "a ", "a\n", "a\n\n", "{\"a\":", "{\n", "{\"progress\":\"a\"}\n", "word, and 中文。\n"]

    /// Marks of different classes in a row are one character, which Unicode's normal forms have to sort.
    private static let marks = "\u{301}\u{323}"

    private static let behindSomething =
        ["", "a", "/", "/new ", "@", "<", "`", "[", " ", "\u{FFFD}", "{"].map { Kind(marks, prefix: $0) }
        + [
            Kind(" ", prefix: "/new a"), Kind("\n", prefix: "/issue a"), Kind(" ", prefix: "<at"),
            Kind("1", prefix: "a\n"),
        ]

    private static let nested = [
        Kind("[", closing: "]"), Kind("(", closing: ")"), Kind("[", closing: "](a)"), Kind("{\"a\":", closing: "}"),
        Kind("<", closing: ">"), Kind(" ", closing: "a"), Kind("\n", closing: "|"), Kind("`", closing: "a"),
    ]

    private static let mixed: Kind = {
        var random = SeededGenerator(seed: 20)
        let pieces = Array(units.filter { !$0.contains("\0") })
        return Kind((0..<200).map { _ in pieces.randomElement(using: &random) ?? "" }.joined())
    }()
}

extension Unicode.Scalar {
    fileprivate var isDigit: Bool { ("0"..."9").contains(self) }
}
