import Output
import Testing

@testable import Gateway

@Suite("S12: what a person reads on a terminal or in the log")
struct TerminalTextTests {
    /// One of each kind: controls of both ranges, what turns the order, what has no width, separators.
    private static let hidden: [Unicode.Scalar] = [
        "\0", "\u{7}", "\u{8}", "\t", "\n", "\r", "\u{1B}", "\u{7F}", "\u{85}", "\u{9B}", "\u{AD}", "\u{61C}",
        "\u{200B}",
        "\u{200D}", "\u{200E}", "\u{200F}", "\u{202A}", "\u{202E}", "\u{2028}", "\u{2029}", "\u{2060}", "\u{2066}",
        "\u{2069}", "\u{FEFF}", "\u{FFF9}", "\u{E0041}",
    ]

    @Test("a hidden character of a value is shown as a space or a sign, wherever it stands", arguments: hidden)
    func values(scalar: Unicode.Scalar) {
        let text: TerminalText = "name:\t\("a\(scalar)b")\n"
        #expect(text.string == "name:\ta b\n" || text.string == "name:\ta\u{FFFD}b\n")
    }

    @Test("what is visible stays, in any script")
    func visible() {
        let words = "Ann, 語, فارسی, é, e\u{301}, 👍🏽 \"<&>\" ~"
        #expect(("\(words)" as TerminalText).string == words)
        #expect(("\(12)\(true)" as TerminalText).string == "12true")
    }

    @Test("a text in a text stays as it is, and lines from outside are marked by what the program puts before them")
    func lines() {
        let inner: TerminalText = "a\n\("b\nc")"
        #expect(("[\(inner)]" as TerminalText).string == "[a\nb c]")
        #expect(
            TerminalText(linesOf: "one\r\ntwo\u{2028}three\n\n\tfour\u{202E}", indent: "> ").string
                == "> one\n> two\n> three\n> \n>  four\u{FFFD}")
        #expect(TerminalText(document: "{\n  \"a\u{1B}\"\n}").string == "{\n  \"a\u{FFFD}\"\n}")
    }

    @Test("cells stand below each other on a terminal, also wide ones, and those with marks over them")
    func columns() {
        let rows = [["語言", "1"], ["abcd", "2"], ["e\u{301}f\u{202E}g", "3"], ["👍 a", "4"], ["한글", "5"]]
        let lines = Table.lines(["NAME", "N"], rows).map(\.string)
        #expect(lines == ["NAME  N", "語言  1", "abcd  2", "e\u{301}f\u{FFFD}g  3", "👍 a  4", "한글  5"])
    }

    @Test("a line of the log holds no hidden character, in either format, and says which one it was", arguments: hidden)
    func log(scalar: Unicode.Scalar) throws {
        let event = LogEvent(.info, "a.happened", [("text", .text("a\(scalar)語"))])
        for line in [LogWriter.json(event, at: .now), LogWriter.text(event, at: .now)] {
            let text = String(decoding: line.bytes, as: UTF8.self)
            #expect(
                text.hasSuffix("\n") && !HiddenCharacters.areIn(String(text.dropLast())), "\(text.debugDescription)")
            #expect(text.contains("a\\") && text.contains("語\""), "\(text)")
        }
    }
}
