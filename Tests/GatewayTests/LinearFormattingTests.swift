import Foundation
import HTTPServer
import Lark
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("S1, S2: whatever a text says, to look at it takes work as its bytes", .serialized)
struct LinearFormattingTests {
    @Test("a reply, on its way to texts or cards")
    func replies() async {
        #expect(await LinearWork.complaints({ $0.text($1) }) { _ = MarkdownSigns.areIn($0) } == [])
        let contents = await LinearWork.complaints({ $0.text($1) }) {
            _ = ReplyFormat.contents(
                $0, mentioning: AllowedMentions(askedForIn: $0), maxTextBytes: 1_000, maxCardBytes: 1_000)
        }
        #expect(contents == [])
        // Of many parts: below one part's size nothing is cut.
        #expect(await LinearWork.complaints({ $0.text($1) }) { _ = TextParts.split($0, maxBytes: 1_000) } == [])
        #expect(await LinearWork.complaints({ $0.text($1) }) { _ = TextParts.splitMarkdown($0, maxBytes: 1_000) } == [])
    }

    @Test("what people wrote, in a card")
    func cards() async {
        #expect(await LinearWork.complaints({ $0.text($1) }) { _ = NoticeText.plain($0) } == [])
    }

    @Test("what may be a command")
    func commands() async {
        #expect(await LinearWork.complaints({ $0.text($1) }) { _ = ChatCommand($0) } == [])
        #expect(await LinearWork.complaints({ "/issue a" + $0.text($1) }) { _ = ChatCommand($0) } == [])
    }

    @Test("what was said in a group before")
    func context() async {
        let complaints = await LinearWork.complaints(from: 32_768, { Self.list($0, bytes: $1) }) { list in
            var asked = InboundMessage(appID: "cli_1")
            asked.messageID = "om_asked"
            asked.sentAtMilliseconds = 1_780_000_000_000
            let items = JSONValue(parsing: list)?["items"].array ?? []
            let listed = items.compactMap { ListedMessage($0) }
            let rules = ContextRules(
                members: Set(GroupContext.people(listed, before: asked)), tellsOfStrangers: false)
            _ = GroupContext.json(GroupContext.select(listed, before: asked, rules))
        }
        #expect(complaints == [])
    }

    private static func list(_ kind: OutsideText.Kind, bytes: Int) -> [UInt8] {
        let mentions = (0..<(bytes / 10_000)).map { ["key": "@_user_\($0)", "id": "ou_\($0)", "name": "N"] }
        let content = (try? JSONSerialization.data(withJSONObject: ["text": kind.text(bytes / 20)])) ?? Data()
        let items = (0..<20).map { number -> [String: Any] in
            [
                "message_id": "om_\(number)", "msg_type": "text", "create_time": "\(1_779_999_999_000 - number)",
                "sender": ["id": "ou_1", "sender_type": "user"], "mentions": mentions,
                "body": ["content": String(decoding: content, as: UTF8.self)],
            ]
        }
        return Array((try? JSONSerialization.data(withJSONObject: ["items": items])) ?? Data())
    }

    @Test("what a browser sends to the pairing page")
    func forms() async {
        let complaints = await LinearWork.complaints({ kind, bytes in
            HTTPRequest(
                method: "POST", path: "/pair/a", headers: ["content-type": "application/x-www-form-urlencoded"],
                body: Array(("code=" + kind.text(bytes)).utf8))
        }) { _ = FormBody.value("code", in: $0).map { BindingCode($0) } }
        #expect(complaints == [])
    }
}
