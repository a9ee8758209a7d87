import AsyncRuntime
import Foundation
import Lark
import LarkSimulator
import TestSupport
import Testing

@Suite("Words that would be more, through the real daemon")
struct HostileWordsTests {
    /// Ends a line, begins one of its own, and does something to a terminal.
    private static let words =
        "x\n{\"event\":\"forged.event\",\"level\":\"error\"}\r\u{1B}[2J\u{7}\0\u{85}\u{2028}\u{9B}31m\" \\"

    private static func json(_ object: [String: Any]) -> String {
        String(decoding: (try? JSONSerialization.data(withJSONObject: object)) ?? Data(), as: UTF8.self)
    }

    @Test(
        "whatever stands in texts, titles, names, ids and the platform's own words: each line of the log is one event of ours"
    )
    func log() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(window: "100ms"))
        let worker = try await stage.startWorker(command: ["/bin/cat"])
        await stage.simulator.failMessages([(400, Self.json(["code": 230_002, "msg": Self.words]))])
        for (index, text) in [Self.words, "/issue \(Self.words)", "/new \(Self.words)", "/status"].enumerated() {
            var message = SimulatedMessage(chatID: "oc_\(index)", sender: "ou_1", text: text)
            message.mentionedNames = [Self.words]
            await stage.simulator.send(message, to: Stage.app.id)
        }
        for field in 0..<5 {
            var message = SimulatedMessage(chatID: "oc_f", sender: "ou_1", text: "hello \(Self.words)")
            if field == 0 { message.messageID = "om_1\(Self.words)" }
            if field == 1 { message.chatID = "oc_1\(Self.words)" }
            if field == 2 { message.sender = "ou_1\(Self.words)" }
            if field == 3 { message.threadID = "omt_1\(Self.words)" }
            if field == 4 { message.messageType = "text\(Self.words)" }
            await stage.simulator.send(message, to: Stage.app.id)
        }
        await stage.simulator.deliver(
            Array(Self.json(["header": ["event_type": Self.words, "app_id": Self.words]]).utf8),
            messageID: "om_2\(Self.words)", to: Stage.app.id)
        await stage.simulator.sendRawText(Self.words)
        let last = await stage.say("the last one", in: "oc_last")
        #expect(await stage.acked(last, [200]))
        #expect(try await daemon.logs("outbox.died"))
        #expect(await stage.sent(4).count >= 4)
        for process in [daemon, worker] {
            let output = process.output
            for line in output.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
                let event = JSONValue(parsing: String(line))
                #expect(event?["event"].string != nil && event?["event"].string != "forged.event", "\(line)")
            }
            #expect(output.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 && $0.value != 0x7F })
            #expect(!output.contains("the last one") && !output.contains("hello x"))
        }
        await stage.end(daemon, worker)
    }
}
