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
        #expect(MentionSyntax.card("Hi \(written), look", allowing: nil) == "Hi <at id=ou_1></at>, look")
        #expect(MentionSyntax.text("Hi \(written), look", allowing: nil) == #"Hi <at user_id="ou_1">Ann</at>, look"#)
    }

    @Test("without a name, for everybody, and several in a row")
    func kinds() {
        #expect(
            MentionSyntax.text("<at id=ou_1></at><at id=all></at>", allowing: nil)
                == #"<at user_id="ou_1"></at><at user_id="all"></at>"#)
        #expect(
            MentionSyntax.card(#"<at user_id="all"></at> <at user_id="ou_1"></at>"#, allowing: nil)
                == "<at id=all></at> <at id=ou_1></at>")
        #expect(
            MentionSyntax.card("<at email=a@e.com></at> <at ids=ou_1,ou_2></at>", allowing: nil)
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
        #expect(MentionSyntax.card(text, allowing: nil) == text)
        #expect(MentionSyntax.text(text, allowing: nil) == text)
    }

    @Test("rewriting it again changes nothing, whatever it says")
    func idempotent() {
        let pieces = ["<at ", "id=", "user_id=\"", "ou_1", "\"", ">", "</at>", "`", "```", "\n", "你好", " ", "all"]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 0...14)).map { _ in pieces.randomElement() ?? "" }.joined()
            let (card, plain) = (MentionSyntax.card(text, allowing: nil), MentionSyntax.text(text, allowing: nil))
            #expect(
                MentionSyntax.card(card, allowing: nil) == card && MentionSyntax.text(plain, allowing: nil) == plain,
                "\(text)")
            #expect(MentionSyntax.card(plain, allowing: nil) == card, "\(text)")
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
        let ann = AllowedMentions(people: ["ou_1"], everybody: false)
        #expect(
            OutboundContent.text(MessageText("<at id=ou_1></at>", mentioning: ann)).json
                == #"{"text":"<at user_id=\"ou_1\"></at>"}"#)
        #expect(
            OutboundContent.markdownCard(CardMarkdown(#"**hi** <at user_id="ou_1">Ann</at>"#, mentioning: ann)).json
                .contains(
                    "**hi** <at id=ou_1></at>"))
        #expect(
            OutboundContent.markdownCard(CardMarkdown("<at id=ou_1></at>", mentioning: ann)).asText.json
                == #"{"text":"<at user_id=\"ou_1\"></at>"}"#)
    }

    @Test(
        "S9: who may not be mentioned becomes a word, whatever the mention looks like",
        arguments: [
            ("<at id=all></at> free money", "@all free money"), (#"<at user_id="all">All</at>"#, "@All"),
            ("<at id=ou_2></at>", "@ou_2"), ("<at id=ou_2>Bob</at>, <at id=on_1></at>", "@Bob, @on_1"),
            // What is left of a mention that stood around another one is none.
            ("<<at id=ou_2>at id=all></at></at>", "<@at id=all><\u{200B}/at>"),
            ("<a<at id=ou_2>t id=all></at>", "<a@t id=all>"),
        ])
    func refused(written: String, plain: String) {
        #expect(CardMarkdown(written, mentioning: .nobody).string == plain)
        #expect(MessageText(written, mentioning: .nobody).string == plain)
    }

    @Test(
        "S9: what the platform could take for a mention, and is none of ours, is told apart from one",
        arguments: [
            "`<at id=all></at>`", "```\n<at id=all></at>\n```", "<AT id=all></AT>", "<at id='all'></at>", "<at id=all>",
            "<at ids=ou_1,all></at>", "<at email=a@e.com></at>", "<at\tid=all></at>", "<at id=all/>",
        ])
    func otherForms(written: String) {
        for allowed in [AllowedMentions.nobody, AllowedMentions(people: ["ou_1"], everybody: true)] {
            for sent in [
                CardMarkdown(written, mentioning: allowed).string, MessageText(written, mentioning: allowed).string,
                MessageText(secondTryOf: CardMarkdown(written, mentioning: allowed)).string,
            ] {
                #expect(!sent.lowercased().contains("<at"), "\(sent)")
                #expect(sent.replacing("\u{200B}", with: "") == written)
            }
        }
    }

    @Test("S9: a card that is sent as a text mentions whom the card did, and nobody else")
    func secondTry() {
        let card = CardMarkdown(
            "**a** <at id=ou_1>Ann</at> <at id=ou_2>Bob</at> `<at id=all></at>`",
            mentioning: AllowedMentions(people: ["ou_1"], everybody: false))
        #expect(
            MessageText(secondTryOf: card).string
                == "**a** <at user_id=\"ou_1\"></at> @Bob `<\u{200B}at id=all><\u{200B}/at>`")
    }

    @Test("S9: so it does where the words that a mention became begin code")
    func secondTryAfterBackticks() {
        let card = CardMarkdown(
            "<at id=ou_9>`Eve</at> <at id=ou_1></at> `",
            mentioning: AllowedMentions(people: ["ou_1"], everybody: false))
        #expect(card.string == "@`Eve <at id=ou_1></at> `")
        #expect(MessageText(secondTryOf: card).string == "@`Eve <at user_id=\"ou_1\"></at> `")
    }

    @Test("whom a text wants to mention is found outside code, and is bounded")
    func asked() {
        let asked = AllowedMentions(
            askedForIn: #"<at id=ou_1></at><at user_id="all">x</at> `<at id=ou_2></at>` <at ids=ou_3></at>"#)
        #expect(asked == AllowedMentions(people: ["ou_1"], everybody: true))
        #expect(AllowedMentions(askedForIn: "a < b `") == .nobody)
        let many = (0..<100).map { "<at id=ou_\($0)></at>" }.joined()
        #expect(AllowedMentions(askedForIn: many).people.count == 64)
    }
}
