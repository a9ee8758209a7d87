import AsyncRuntime
import Foundation
import Lark
import Testing

@testable import Gateway

@Suite("How a reply is formatted")
struct ReplyFormatTests {
    @Test(
        "F2: a reply with Markdown signs is a card, plain text stays text",
        arguments: [
            ("```\ncode\n```", true), ("| a | b |", true), ("# Head", true), ("- item", true), ("1. item", true),
            ("**bold**", true), ("[a](https://b)", true), ("plain, with 3 * 4 - 2 and a_b", false), ("#hashtag", false),
        ])
    func markdown(text: String, isCard: Bool) {
        let content: OutboundContent =
            isCard
            ? .markdownCard(CardMarkdown(text, mentioning: .nobody)) : .text(MessageText(text, mentioning: .nobody))
        #expect(ReplyFormat.contents(text, mentioning: .nobody) == [content])
    }

    @Test("a reply that is too long for one message is cut between paragraphs, and nothing is lost")
    func parts() {
        let paragraph = String(repeating: "ä", count: 100)
        let text = Array(repeating: paragraph, count: 30).joined(separator: "\n\n")
        let parts = TextParts.split(text, maxBytes: 1000)
        #expect(parts.allSatisfy { $0.utf8.count <= 1000 })
        #expect(parts.joined(separator: "\n\n") == text)
        let solid = TextParts.split(String(repeating: "語", count: 1000), maxBytes: 100)
        #expect(solid.allSatisfy { $0.utf8.count <= 100 })
        #expect(solid.joined() == String(repeating: "語", count: 1000))
        // A character of many parts stays one, unless it alone is too long.
        let family = String(repeating: "👨‍👩‍👧‍👦", count: 30)
        #expect(TextParts.split(family, maxBytes: 100).allSatisfy { $0.count * "👨‍👩‍👧‍👦".utf8.count == $0.utf8.count })
        let monster = "a" + String(repeating: "\u{301}", count: 500)
        #expect(TextParts.split(monster, maxBytes: 100).joined().unicodeScalars.elementsEqual(monster.unicodeScalars))
        #expect(TextParts.split("", maxBytes: 10) == [""])
    }

    @Test("no part is larger than the platform allows, as it counts: JSON in a string of JSON")
    func encodedParts() throws {
        var random = SeededGenerator(seed: 7)
        let pieces = [
            "\"", "\\", "\n", "\n\n", "/", "a", "語", " ", "word ", "\t", "```swift\n", "```\n", "\u{1}", "**b**",
        ]
        for _ in 0..<100 {
            let text = (0..<Int.random(in: 1...3_000, using: &random)).map { _ in random.pick(pieces) }.joined()
            for part in TextParts.split(text, maxBytes: 1_500) {
                let inner = String(
                    decoding: try JSONSerialization.data(withJSONObject: [part], options: .withoutEscapingSlashes),
                    as: UTF8.self)
                let outer = try JSONSerialization.data(withJSONObject: [inner])
                // The brackets and quotes around.
                #expect(outer.count <= 1_500 + 12)
            }
            let letters = { (text: String) in text.filter { !$0.isWhitespace } }
            #expect(letters(TextParts.split(text, maxBytes: 1_500).joined()) == letters(text))
        }
    }

    @Test("Markdown that is too long for one card becomes several; code that is cut goes on as code")
    func longMarkdown() {
        let code = "```swift\n" + (0..<3_000).map { "let value\($0) = \($0)\n" }.joined() + "```"
        let text = "# Head\n\n" + String(repeating: "Some *words* here.\n\n", count: 500) + code + "\n\nThe end."
        let cards = ReplyFormat.contents(text, mentioning: .nobody)
        #expect(cards.count > 2)
        for card in cards {
            guard case .markdownCard(let markdown) = card else {
                Issue.record("\(card)")
                continue
            }
            let part = markdown.string
            #expect(part.utf8.count < ReplyFormat.maxCardBytes)
            #expect(part.components(separatedBy: "```").count % 2 == 1, "every block has its end")
            #expect(!part.contains("let value") || part.contains("```swift"))
        }
    }

    @Test("a mention that stands in code can be read and mentions nobody, also in a part that begins within the code")
    func mentionsAreConvertedOnce() {
        let mention = #"<at user_id="ou_1">Ann</at>"#
        let written = "**see** `" + String(repeating: "x", count: ReplyFormat.maxCardBytes) + mention + "`"
        let ann = AllowedMentions(people: ["ou_1"], everybody: false)
        let cards = ReplyFormat.contents(written, mentioning: ann)
        #expect(cards.count > 1)
        // The content is JSON, where a quote is escaped.
        #expect(
            cards.last?.json.contains(#"<\#u{200B}at user_id=\"ou_1\">Ann<\#u{200B}/at>`"#) == true,
            "\(cards.last?.json.suffix(200) ?? "")")
        let real = ReplyFormat.contents("**see** " + mention, mentioning: ann)
        #expect(real.map(\.json).joined().contains("**see** <at id=ou_1></at>"))
    }
}
