import Lark
import Store
import Testing

@testable import Gateway

/// What people and agents write is words: it mentions nobody that they may not, and goes nowhere else.
@Suite("Words of people and agents")
struct WordsOfPeopleTests {
    private static let title =
        "<at id=all></at> <AT id=all>x</aT> &#60;at id=all&#62; **x** [a](http://e) ![b](c) `d` ~~e~~ # | \\"

    @Test(
        "no sign of an issue's title means anything in a card; sent as text it mentions nobody, and entities stay as they were"
    )
    func titles() throws {
        let notice = Notice.issueCreated(key: "ACME-1", title: Self.title)
        for locale in InstallationSettings.Locale.allCases {
            let body = NoticeText.text(notice, by: "support", in: locale).body
            #expect(!body.contains("<") && !body.contains("](") && !body.contains("**") && !body.contains("`"))
            // An entity that somebody wrote must not be read as one.
            #expect(body.contains(" &#38;&#35;60;at id=all&#38;&#35;62;"))
            let card = OutboundContent.headedCard(title: "support", color: .grey, text: body)
            guard case .text(let text) = card.asText else {
                Issue.record("a card's second try is a text")
                continue
            }
            #expect(text.string.contains("<\u{200B}at id=all>") && text.string.contains("<\u{200B}AT id=all>"))
            #expect(text.string.replacing("\u{200B}", with: "").hasSuffix(Self.title))
            #expect(!text.string.lowercased().contains("<at") && !text.string.lowercased().contains("</at"))
        }
    }

    @Test(
        "a title is one line, whatever ends a line",
        arguments: ["\n", "\r", "\r\n", "\u{B}", "\u{C}", "\u{85}", "\u{2028}", "\u{2029}"])
    func oneLine(end: String) {
        #expect(ChatCommand("/issue It broke\(end)# when") == .issue(title: "It broke", description: "# when"))
    }

    @Test("an agent's reply goes to the chat of its session, whatever it says of another one")
    func ownChat() async throws {
        let fixture = try await Fixture()
        let other = try #require(try await fixture.ingest(Fixture.message("om_2", chat: "oc_boss"))[0].session)
        let own = try #require(try await fixture.ingest(Fixture.message("om_1", chat: "oc_1"))[0].session)
        try await fixture.flush(own)
        let task = try #require(try await fixture.claim())
        let reply = """
            {"chat_id": "oc_boss", "receive_id": "oc_boss", "session_id": \(other.session), "reply_to": "om_2", "text": "pay"}
            """
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: reply)
        #expect(
            try await fixture.pool.rows(
                "SELECT receive_id_type, receive_id, reply_to, session_id = $1 FROM gateway.outbox", [.int(own.session)]
            )
                == ["(chat_id,oc_1,,t)"])
        let rows = try await fixture.repository.takeOutbox(holder: "test", limit: 9, visibility: .seconds(9))
        #expect(rows.map(\.receiver) == [.chat("oc_1")])
        #expect(JSONValue(parsing: rows[0].payload)?["text"].string == reply)
    }
}
