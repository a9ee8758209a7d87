import Curl
import Foundation
import LarkSimulator
import Testing

@testable import Lark

@Suite("What goes out, as the platform's JSON")
struct OutboundContentTests {
    /// What would become another part of the message if it were put between quotes as it is.
    static let hostile = [
        #""}]},"header":{"title":{"tag":"plain_text","content":"Payroll"}},"x":{"y":[{"z":""#,
        #"\"}]},\"header\":{}"#, #"\\"}"#, "\\", "\"", "a\nb\r\tc\u{1B}[2J\u{7F}", "\u{0}", "\u{2028}\u{FFFE}",
        "</script>",
        #"<at user_id=\"all\"></at>"#,
    ]

    /// - Returns: each kind of message, the keys of its JSON, and what it says. What an agent wrote mentions nobody.
    private static func contents(_ text: String) -> [(content: OutboundContent, keys: [String], says: String)] {
        let head = ["body", "header", "schema"]
        let (words, card) = (MessageText(text, mentioning: .nobody), CardMarkdown(text, mentioning: .nobody))
        return [
            (.text(words), ["text"], words.string), (.markdownCard(card), ["body", "schema"], card.string),
            (.headedCard(title: text, color: .grey, text: text), head, text),
            (.linkCard(title: text, color: .blue, text: text, button: text, url: text), head, text),
        ]
    }

    @Test(
        "whatever a text says, it stays one text of the message, and the message has no other parts", arguments: hostile
    )
    func oneText(text: String) throws {
        for (content, keys, says) in Self.contents(text) {
            // What is read back has U+FFFD where a NUL was.
            let expected = says.replacing("\0", with: "\u{FFFD}")
            let json = try #require(JSONValue(parsing: content.json), "\(content.json)")
            #expect(json.keys == keys)
            guard case .text = content else {
                let elements = json["body"]["elements"].array
                #expect(elements[0].keys == ["content", "tag"])
                #expect(elements[0]["tag"].string == "markdown" && elements[0]["content"].string == expected)
                if json["header"].exists {
                    #expect(json["header"].keys == ["template", "title"])
                    #expect(json["header"]["title"].keys == ["content", "tag"])
                    #expect(json["header"]["title"]["tag"].string == "plain_text")
                    #expect(json["header"]["title"]["content"].string == expected)
                }
                guard case .linkCard = content else {
                    #expect(elements.count == 1)
                    continue
                }
                #expect(elements.count == 2 && elements[1].keys == ["behaviors", "tag", "text", "type"])
                #expect(elements[1]["text"]["content"].string == expected)
                #expect(elements[1]["behaviors"].array.map { $0["default_url"].string } == [expected])
                continue
            }
            #expect(json["text"].string == expected)
        }
    }

    @Test("nor does a text change whom the call is for")
    func oneReceiver() async throws {
        let app = SimulatedApp(id: "cli_1", secret: "s")
        let simulator = LarkSimulator(apps: [app])
        try await simulator.start()
        let client = OpenAPIClient(
            domain: try #require(URL(string: await simulator.url)), appID: app.id, appSecret: app.secret,
            http: HTTPExchange(timeout: .seconds(20)))
        let text = #"","receive_id":"oc_boss","uuid":"x","msg_type":"interactive","content":""#
        _ = try await client.send(.text(MessageText(text, mentioning: .nobody)), to: .chat("oc_1"), uuid: "u1")
        let sent = try #require(await simulator.sentMessages.first)
        #expect((sent.receiver, sent.uuid, sent.type) == ("oc_1", "u1", "text"))
        #expect(JSONValue(parsing: sent.content)?["text"].string == text)
        await simulator.stop()
    }
}
