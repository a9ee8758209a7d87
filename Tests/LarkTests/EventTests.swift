import Foundation
import Testing

@testable import Lark

@Suite("From an event to what an agent reads")
struct EventTests {
    private static let bot = BotIdentity(openID: "ou_bot", unionID: "on_bot")

    private func payload(
        text: String? = nil, content: String? = nil, type: String = "text", chatType: String = "p2p",
        mentions: String = "null", sender: String = #"{"sender_id":{"open_id":"ou_1"},"sender_type":"user"}"#,
        messageID: String = "om_1"
    ) -> [UInt8] {
        func quote(_ value: String) -> String {
            let data = try? JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed)
            return String(decoding: data ?? Data(), as: UTF8.self)
        }
        let body = content ?? "{\"text\":\(quote(text ?? ""))}"
        return Array(
            """
            {"schema":"2.0","header":{"event_id":"e","event_type":"im.message.receive_v1","app_id":"cli_1"},
             "event":{"sender":\(sender),"message":{"message_id":"\(messageID)","chat_id":"oc_1","chat_type":"\(chatType)",
             "create_time":"1609073151345","message_type":"\(type)","content":\(quote(body)),"mentions":\(mentions)}}}
            """.utf8)
    }

    private func message(_ payload: [UInt8], bot: BotIdentity = bot) throws -> InboundMessage {
        guard case .message(let message) = EventDecoder(appID: "cli_1", bot: bot).decode(payload) else {
            throw CancellationError()
        }
        return message
    }

    private func mention(_ key: String, open: String, union: String, name: String) -> String {
        #"{"key":"\#(key)","id":{"open_id":"\#(open)","union_id":"\#(union)","user_id":null},"name":"\#(name)"}"#
    }

    @Test("E1: a text is taken as it is")
    func text() throws {
        let message = try message(payload(text: "  tabs\tstay \n  and indents"))
        #expect(message.content == "  tabs\tstay \n  and indents")
        #expect(message.messageID == "om_1" && message.sender == "ou_1" && message.isAddressed)
        #expect(message.sentAtMilliseconds == 1_609_073_151_345)
        #expect(!message.wasRepaired && message.fault == nil)
    }

    @Test("E1, B6: the bot's mention goes with one space beside it, other people's become @Name")
    func mentions() throws {
        let mentions =
            "[" + mention("@_user_1", open: "ou_bot", union: "on_bot", name: "Bot") + ","
            + mention("@_user_2", open: "ou_2", union: "on_2", name: "Tom") + "]"
        let group = try message(
            payload(text: "@_user_1  ask @_user_2 and @_user_3", chatType: "group", mentions: mentions))
        #expect(group.content == " ask @Tom and @_user_3")
        #expect(group.isAddressed)
        #expect(try message(payload(text: "hey @_user_1", chatType: "group", mentions: mentions)).content == "hey")
        #expect(try message(payload(text: "@_user_1", chatType: "group", mentions: mentions)).content == "", "B19")
    }

    @Test("E2: eleven mentions are not confused")
    func eleven() throws {
        let all = (1...11).map { mention("@_user_\($0)", open: "ou_\($0)", union: "on_\($0)", name: "N\($0)") }
        let text = (1...11).map { "@_user_\($0)" }.joined(separator: " ")
        let message = try message(payload(text: text, mentions: "[\(all.joined(separator: ","))]"))
        #expect(message.content == (1...11).map { "@N\($0)" }.joined(separator: " "))
    }

    @Test("R3: a group message that mentions somebody awaits the bot's identity while nothing is known; others do not")
    func awaitsIdentity() throws {
        let tom = "[" + mention("@_user_1", open: "ou_2", union: "on_2", name: "Tom") + "]"
        let all = "[" + mention("@_all", open: "", union: "", name: "all") + "]"
        let nobody = BotIdentity()
        #expect(try message(payload(text: "@_user_1", chatType: "group", mentions: tom), bot: nobody).awaitsIdentity)
        #expect(try !message(payload(text: "@_user_1", chatType: "p2p", mentions: tom), bot: nobody).awaitsIdentity)
        #expect(try !message(payload(text: "hi", chatType: "group"), bot: nobody).awaitsIdentity)
        #expect(try !message(payload(text: "@_all hi", chatType: "group", mentions: all), bot: nobody).awaitsIdentity)
        for bot in [BotIdentity(openID: "ou_bot"), BotIdentity(unionID: "on_bot"), Self.bot] {
            #expect(try !message(payload(text: "@_user_1", chatType: "group", mentions: tom), bot: bot).awaitsIdentity)
        }
    }

    @Test("B6, B7: with a known union_id only that counts; without, the open_id; neither: never; @all: no")
    func addressing() throws {
        let other = "[" + mention("@_user_1", open: "ou_bot", union: "on_other", name: "Other") + "]"
        let event = payload(text: "@_user_1 hi", chatType: "group", mentions: other)
        #expect(try !message(event).isAddressed)
        #expect(try message(event, bot: BotIdentity(openID: "ou_bot")).isAddressed)
        #expect(try !message(event, bot: BotIdentity()).isAddressed)
        #expect(try !message(payload(text: "@_all hi", chatType: "group")).isAddressed)
    }

    @Test("E3: a post is its title and a line per row")
    func post() throws {
        let content = """
            {"title":"T","content":[[{"tag":"text","text":"see "},{"tag":"a","text":"site","href":"https://x"},
            {"tag":"at","user_id":"@_user_1","user_name":"Tom"}],[{"tag":"img","image_key":"k"},{"tag":"hr"}],
            [{"tag":"code_block","language":"GO","text":"x := 1"}],[{"tag":"new","text":"unknown"}]]}
            """
        let mentions = "[" + mention("@_user_1", open: "ou_2", union: "on_2", name: "Tom") + "]"
        let message = try message(payload(content: content, type: "post", mentions: mentions))
        #expect(message.content == "T\nsee [site](https://x)@Tom\n[image]---\n```go\nx := 1\n```\nunknown")
        #expect(
            try self.message(payload(content: #"{"zh_cn":{"content":[[{"tag":"text","text":"a"}]]}}"#, type: "post"))
                .content == "a")
    }

    @Test("E4: any other type is named, an unknown one too, and one that is broken")
    func placeholders() throws {
        #expect(try message(payload(content: "{}", type: "image")).content == "[image]")
        #expect(try message(payload(content: "{}", type: "hologram")).content == "[message of type hologram]")
        #expect(try message(payload(content: "not json", type: "text")).content == "[text]")
    }

    @Test("B21: NUL, half surrogates and broken UTF-8 become U+FFFD, and are counted")
    func repaired() throws {
        #expect(try message(payload(content: #"{"text":"a\u0000b"}"#)).content == "a\u{FFFD}b")
        let half = try message(payload(content: #"{"text":"a\ud800b \ud83d\ude00 \\ud800"}"#))
        #expect(half.content == "a\u{FFFD}b \u{1F600} \\ud800")
        #expect(half.wasRepaired)
        var broken = payload(text: "a?b")
        let mark = try #require(broken.firstIndex(of: UInt8(ascii: "?")))
        broken[mark] = 0xFF
        #expect(try message(broken).content == "a\u{FFFD}b")
    }

    @Test("B18, B22: a bot's message, and ones without their ids, are marked; nothing traps")
    func faults() throws {
        #expect(try message(payload(text: "x", sender: #"{"sender_type":"app"}"#)).fault == .appSender)
        #expect(try message(payload(text: "x", sender: "null")).fault == .invalidEvent)
        #expect(try message(payload(text: "x", messageID: "")).fault == .invalidEvent)
        let long = try message(payload(text: String(repeating: "x", count: 2 << 20)))
        #expect(long.fault == .invalidEvent)
        #expect(long.content.isEmpty, "a refused body is not carried on")
    }

    @Test("what is no event says so; an event of another type is ignored")
    func others() {
        let decoder = EventDecoder(appID: "cli_1", bot: Self.bot)
        for text in ["", "{", "[]", "7", "{}", #"{"header":7}"#, String(repeating: "[", count: 100_000)] {
            guard case .undecodable = decoder.decode(Array(text.utf8)) else {
                return #expect(Bool(false), "\(text.prefix(20))")
            }
        }
        #expect(decoder.decode(Array(#"{"header":{"event_type":"x"}}"#.utf8)) == .ignored(type: "x"))
    }

    @Test("changed bytes never trap")
    func fuzz() {
        let decoder = EventDecoder(appID: "cli_1", bot: Self.bot)
        let original = payload(
            text: "hello @_user_1", mentions: "[" + mention("@_user_1", open: "a", union: "b", name: "c") + "]")
        for _ in 0..<3_000 {
            var bytes = original
            for _ in 0..<4 { bytes[Int.random(in: bytes.indices)] = UInt8.random(in: .min ... .max) }
            _ = decoder.decode(bytes)
        }
    }
}
