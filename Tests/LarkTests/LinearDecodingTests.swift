import Foundation
import TestSupport
import Testing

@testable import Lark

@Suite("S2: whatever a message says, to read it takes work as its bytes", .serialized)
struct LinearDecodingTests {
    private static let decoder = EventDecoder(appID: "cli_1", bot: BotIdentity(openID: "ou_bot", unionID: "on_bot"))

    private static func json(_ object: Any) -> Data {
        (try? JSONSerialization.data(withJSONObject: object, options: .fragmentsAllowed)) ?? Data()
    }

    private static func text(_ object: Any) -> String { String(decoding: json(object), as: UTF8.self) }

    /// As an event has them; the twelfth of the bot.
    private static func mentions(_ count: Int) -> [[String: Any]] {
        (0..<count).map { number in
            let id = ["open_id": "ou_\(number)", "union_id": number == 12 ? "on_bot" : "on_\(number)"]
            return ["key": "@_user_\(number)", "id": id, "name": "N\(number)"]
        }
    }

    private static func event(_ type: String, _ content: Any, mentions count: Int = 50) -> [UInt8] {
        let message: [String: Any] = [
            "message_id": "om_1", "chat_id": "oc_1", "chat_type": "group", "create_time": "1609073151345",
            "message_type": type, "content": text(content), "mentions": mentions(count),
        ]
        let sender: [String: Any] = ["sender_id": ["open_id": "ou_1"], "sender_type": "user"]
        return Array(
            json([
                "header": ["event_id": "e", "event_type": "im.message.receive_v1", "app_id": "cli_1"],
                "event": ["sender": sender, "message": message],
            ]))
    }

    private static func decode(_ payload: [UInt8]) { _ = decoder.decode(payload) }

    @Test("a text, and as many mentions as go with it")
    func texts() async {
        let complaints = await LinearWork.complaints(
            { kind, bytes in
                Self.event("text", ["text": kind.text(bytes / 2)], mentions: bytes / 200)
            }, Self.decode)
        #expect(complaints == [])
    }

    @Test("a post: as a text, a title, a tag, a language, the id of somebody")
    func posts() async {
        let complaints = await LinearWork.complaints(
            { kind, bytes in
                let words = kind.text(bytes / 5)
                let elements = [
                    ["tag": "text", "text": words], ["tag": words, "text": "a"],
                    ["tag": "at", "user_id": words, "user_name": "Tom"], ["tag": "code_block", "language": words],
                ]
                return Self.event("post", ["title": words, "content": [elements]] as [String: Any])
            }, Self.decode)
        #expect(complaints == [])
    }

    @Test("as an id, a type, a name: none of them need be what it should be")
    func fields() async {
        let complaints = await LinearWork.complaints(
            from: 16_384,
            { kind, bytes in
                let words = kind.text(bytes / 10)
                let sender: [String: Any] = ["sender_id": ["open_id": "ou_1"], "sender_type": words]
                let mention: [String: Any] = [
                    "key": words, "id": ["open_id": words, "union_id": words], "name": words,
                ]
                let message: [String: Any] = [
                    "message_id": "om_1", "chat_id": "oc_1", "chat_type": words, "create_time": words,
                    "message_type": words, "content": "{}", "mentions": [mention],
                ]
                let header = ["event_type": "im.message.receive_v1", "event_id": words, "app_id": words]
                return Array(Self.json(["header": header, "event": ["sender": sender, "message": message]]))
            }, Self.decode)
        #expect(complaints == [])
    }

    @Test("as a key of JSON")
    func keys() async {
        let complaints = await LinearWork.complaints(
            from: 16_384,
            { kind, bytes in
                let words = kind.text(bytes / 5)
                return Self.event("post", [words: 1, words + "a": ["content": []], words + "b": 2] as [String: Any])
            }, Self.decode)
        #expect(complaints == [])
    }

    @Test("many mentions, and many elements that mention somebody")
    func mentions() async {
        let complaint = await LinearWork.complaint(
            { bytes in
                let elements = (0..<(bytes / 100)).map { ["tag": "at", "user_id": "ou_\($0 * 2)"] }
                return Self.event("post", ["content": [elements]], mentions: bytes / 100)
            }, Self.decode)
        #expect(complaint == nil)
    }

    @Test("what is no JSON, and half characters in what is")
    func json() async {
        #expect(await LinearWork.complaints({ Array($0.text($1).utf8) }) { _ = JSONValue(parsing: $0) } == [])
        let halves = await LinearWork.complaints({ kind, bytes in
            Array(#"["\ud800\#(kind.text(bytes))"]"#.utf8)
        }) { _ = JSONValue(parsing: $0) }
        #expect(halves == [])
    }

    @Test("a text that goes out: its mentions, and what people wrote in it made harmless")
    func outgoing() async {
        #expect(await LinearWork.complaints({ $0.text($1) }) { _ = MentionSyntax.text($0, allowing: .nobody) } == [])
        #expect(
            await LinearWork.complaints({ $0.text($1) }) {
                _ = OutboundContent.markdownCard(CardMarkdown($0, mentioning: AllowedMentions(askedForIn: $0))).json
            }
                == [])
        let plain = await LinearWork.complaints({ $0.text($1) }) {
            _ = OutboundContent.headedCard(title: "a", color: .grey, text: $0).asText
        }
        #expect(plain == [])
    }

    @Test("S17: a part of a large event takes the same work, however many events and parts are open")
    func parts() async {
        let events = await LinearWork.complaint({ $0 / 16 }) { count in
            var parts = PartAssembler()
            for number in 0..<count {
                _ = parts.add([], messageID: "om_\(number)", sum: 2, index: 0, now: .milliseconds(number))
                _ = parts.nextExpiry
                if number % 100 == 0 { _ = parts.dropExpired(now: .milliseconds(number)) }
            }
        }
        #expect(events == nil)
        let ofOne = await LinearWork.complaint({ $0 / 64 }) { count in
            var parts = PartAssembler()
            for number in 0..<min(count, 9_999) {
                _ = parts.add([], messageID: "om", sum: 10_000, index: number, now: .milliseconds(number))
                _ = parts.nextExpiry
            }
        }
        #expect(ofOne == nil)
    }
}
