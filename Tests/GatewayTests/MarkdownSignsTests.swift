import AsyncRuntime
import Testing

@testable import Gateway

@Suite("Signs of Markdown")
struct MarkdownSignsTests {
    /// What the signs are, said by regular expressions: too slow for a long text, and slow for a short one.
    private static func model(_ text: String) -> Bool {
        text.contains("```") || text.contains(/(?m)^\s*\|.*\|\s*$/) || text.contains(/(?m)^#{1,6} \S/)
            || text.contains(/(?m)^\s*(?:[-*+]|\d+\.) \S/) || text.contains(/\*\*[^*\n]+\*\*/)
            || text.contains(/\[[^\]\n]+\]\([^)\s]+\)/)
    }

    @Test(
        "each by itself, and what only looks like it",
        arguments: [
            ("```", true), ("a```b", true), ("`` `", false), ("| a |", true), ("  ||", true), ("| a | b", false),
            ("|", false),
            ("a | b |", false), ("|\n|", false), ("\n\n | a | \n\n", true), ("| a |\r\n| b |", true), ("# a", true),
            ("###### a", true), ("####### a", false), (" # a", false), ("#  a", false), ("# ", false), ("# \na", false),
            ("- a", true), ("* a", true), ("+ a", true), ("12. a", true), ("\t - a", true), ("-  a", false),
            ("1) a", false),
            ("a - b", false), ("1.a", false), ("- - a", true), ("**a**", true), ("***a**", true), ("****", false),
            ("**a*b**", false), ("**a\nb**", false), ("a**b**c", true), ("** **", true), ("**a *b **c**", true),
            ("[a](b)", true), ("[a]()", false), ("[](a)", false), ("[a] (b)", false), ("[a](b c)", false),
            ("[a\nb](c)", false), ("[[a](b)", true), ("[a](b[c](d)", true), ("[a](b[c]d)", true),
            ("[a](b [c](d)", true),
            ("[a]](b)", false), ("[a](\n[b](c)", true), ("中文 **重点** 。", true), ("1. 中文", true), ("中文 - 不是", false),
            ("", false),
        ])
    func signs(text: String, isMarkdown: Bool) {
        #expect(MarkdownSigns.areIn(text) == isMarkdown)
        #expect(Self.model(text) == isMarkdown, "the model")
    }

    @Test("as the regular expressions say, for any text", arguments: UInt64(1)...4)
    func anyText(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let alphabets = [
            ["|", " ", "\n", "a", "\t"], ["#", " ", "\n", "a", "##"],
            ["-", "*", "+", "1", ".", " ", "\n", "a", "２", "\u{3000}"],
            ["*", "**", "a", "\n", " "], ["[", "]", "(", ")", "](", "a", " ", "\n"], ["`", "``", "a", "\n"],
            ["|", "#", "- ", "**", "[a", "](", ")", "`", "\n", "\r", " ", "a", "語", "1.", "\u{2028}", "\u{85}"],
        ]
        var found = 0
        for round in 0..<2_100 {
            let pieces = alphabets[round % alphabets.count]
            let text = (0..<Int.random(in: 1...12, using: &random)).map { _ in
                pieces.randomElement(using: &random) ?? ""
            }.joined()
            let expected = Self.model(text)
            #expect(MarkdownSigns.areIn(text) == expected, "\(text.debugDescription)")
            found += expected ? 1 : 0
        }
        #expect((300...1_800).contains(found), "\(found) of 2,100: both answers have to be tried")
    }
}
