/// Words for a terminal. What the program's own literals say stays as it is, with their line breaks and tabs; each
/// value between them may come from outside, and stands on one line without hidden characters (`HiddenCharacters`). So
/// nothing that a platform, a person, or a database says moves a cursor, or looks like a line of the program.
package struct TerminalText: Sendable, Equatable {
    package let string: String

    /// - Parameter outside: of which each line becomes a line, with `indent` before it, which shows whose it is.
    package init(linesOf outside: String, indent: TerminalText) {
        string = outside.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            .map { indent.string + HiddenCharacters.shown(String($0)) }.joined(separator: "\n")
    }

    /// - Parameter document: that the program made, of which no line break comes from outside, such as JSON.
    package init(document: String) {
        string = document.split(separator: "\n", omittingEmptySubsequences: false)
            .map { HiddenCharacters.shown(String($0)) }.joined(separator: "\n")
    }

    package init(joining parts: [TerminalText], with separator: TerminalText) {
        string = parts.map(\.string).joined(separator: separator.string)
    }
}

extension TerminalText: ExpressibleByStringInterpolation {
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var string = ""

        package init(literalCapacity: Int, interpolationCount: Int) {
            string.reserveCapacity(literalCapacity + 32 * interpolationCount)
        }

        package mutating func appendLiteral(_ literal: String) { string += literal }
        package mutating func appendInterpolation(_ text: TerminalText) { string += text.string }

        package mutating func appendInterpolation<Value>(_ value: Value) {
            string += HiddenCharacters.shown(String(describing: value))
        }
    }

    package init(stringLiteral value: String) { string = value }
    package init(stringInterpolation: StringInterpolation) { string = stringInterpolation.string }
}
