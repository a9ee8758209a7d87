import Testing

@testable import Lark

@Suite("Mentions in what is sent")
struct MentionSyntaxTests {
    @Test(
        "an agent may write a mention in either way; a text and a card each get their own",
        arguments: [
            #"<at user_id="ou_1">Ann</at>"#, "<at id=ou_1>Ann</at>", #"<at id="ou_1">Ann</at>"#,
            "<at open_id=ou_1>Ann</at>",
            #"<at  user_id = "ou_1" >Ann</at>"#,
        ])
    func mentions(written: String) {
        #expect(MentionSyntax.card("Hi \(written), look") == "Hi <at id=ou_1></at>, look")
        #expect(MentionSyntax.text("Hi \(written), look") == #"Hi <at user_id="ou_1">Ann</at>, look"#)
    }

    @Test("without a name, for everybody, and several in a row")
    func kinds() {
        #expect(
            MentionSyntax.text("<at id=ou_1></at><at id=all></at>")
                == #"<at user_id="ou_1"></at><at user_id="all"></at>"#)
        #expect(
            MentionSyntax.card(#"<at user_id="all"></at> <at user_id="ou_1"></at>"#)
                == "<at id=all></at> <at id=ou_1></at>")
        #expect(
            MentionSyntax.card("<at email=a@e.com></at> <at ids=ou_1,ou_2></at>")
                == "<at email=a@e.com></at> <at ids=ou_1,ou_2></at>")
    }

    @Test(
        "what stands in code stays, and what is no mention",
        arguments: [
            "`<at id=ou_1></at>`", "```\n<at id=ou_1></at>\n```", "```xml\n<at id=ou_1></at>", "<at id=></at>",
            "<at id=ou_1>",
            "<at id=ou_1 onclick=x></at>", "<at id='ou_1'></at>", "<at id=ou_1><b></at>", "a < b, at c > d", "",
        ])
    func left(text: String) {
        #expect(MentionSyntax.card(text) == text)
        #expect(MentionSyntax.text(text) == text)
    }

    @Test("rewriting it again changes nothing, whatever it says")
    func idempotent() {
        let pieces = ["<at ", "id=", "user_id=\"", "ou_1", "\"", ">", "</at>", "`", "```", "\n", "你好", " ", "all"]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 0...14)).map { _ in pieces.randomElement() ?? "" }.joined()
            let (card, plain) = (MentionSyntax.card(text), MentionSyntax.text(text))
            #expect(MentionSyntax.card(card) == card && MentionSyntax.text(plain) == plain, "\(text)")
            #expect(MentionSyntax.card(plain) == card, "\(text)")
        }
    }

    @Test("what a person wrote mentions nobody in a text")
    func neutral() {
        for text in ["<at id=all></at>", #"<AT user_id="all">x</AT>"#] {
            let neutral = MentionSyntax.neutralized(text)
            #expect(!neutral.lowercased().contains("<at"))
            #expect(neutral.replacing("\u{200B}", with: "") == text)
        }
        #expect(MentionSyntax.neutralized("a <b> <attr>") == "a <b> <attr>")
    }

    @Test("a reply's mention reaches the platform as its kind of message wants it")
    func content() {
        #expect(
            OutboundContent.text(MessageText("<at id=ou_1></at>")).json == #"{"text":"<at user_id=\"ou_1\"></at>"}"#)
        #expect(
            OutboundContent.markdownCard(CardMarkdown(#"**hi** <at user_id="ou_1">Ann</at>"#)).json.contains(
                "**hi** <at id=ou_1></at>"))
        #expect(
            OutboundContent.markdownCard(CardMarkdown("<at id=ou_1></at>")).asText.json
                == #"{"text":"<at user_id=\"ou_1\"></at>"}"#)
    }
}
