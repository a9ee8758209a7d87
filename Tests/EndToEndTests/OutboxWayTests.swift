import Foundation
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("What goes out, through the real daemon")
struct OutboxWayTests {
    private func command(_ stage: Stage, _ words: String..., status: Int32 = 0) async throws -> String {
        let command = try Daemon(words + ["--config", try Daemon.file(stage.configuration())])
        #expect(await command.ended() == status, "\(command.output)")
        return command.output
    }

    @Test(
        "a reply that the platform refuses is counted, listed without its text, and sent when an administrator says so")
    func deadReplies() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        await stage.simulator.failMessages([(status: 400, body: #"{"code":230002,"msg":"no bot in chat"}"#)])
        await stage.say("a secret text")
        #expect(try await daemon.logs("outbox.died"))
        let listed = try await command(stage, "outbox", "list")
        #expect(listed.contains(/cli_test +reply +oc_1 +\d+s +1 +dead +.*230002 the bot is not in the chat/))
        #expect(!listed.contains("a secret text"))
        let status = try await command(stage, "status")
        #expect(status.contains(/OUTBOX +OLDEST +DEAD/))
        #expect(status.contains(/cli_test .* 0 +- +1\s/))
        let isMeasured = try await eventually {
            try await stage.metrics(of: daemon).contains("lark_gateway_outbox_dead 1")
        }
        #expect(isMeasured)
        #expect(try await stage.metrics(of: daemon).contains("lark_gateway_outbox_waiting 0"))

        #expect(try await command(stage, "outbox", "retry", "dead", "--app", "cli_other") == "nothing was given up\n")
        #expect(try await command(stage, "outbox", "retry", "dead") == "1 to be sent again, now\n")
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"a secret text"}"#])
        let id = UUID().uuidString
        #expect(try await command(stage, "outbox", "drop", id, status: 1).contains("no row"))
        #expect(try await command(stage, "outbox", "drop", "nonsense", status: 2).contains("expected an id"))
        await stage.end(worker, daemon)
    }

    @Test("no chat and no app gets more than its rate, and nobody has to say so")
    func rates() async throws {
        let stage = try await Stage()
        let limits = #", "send_limits": {"per_chat_second": 2, "per_app_second": 3}"#
        let daemon = try await stage.start(stage.configuration(extra: limits))
        for index in 0..<5 {
            await stage.say("/help", in: "oc_1")
            await stage.say("/help", in: "oc_\(index + 2)")
        }
        _ = await stage.sent(10)
        let came = await zip(stage.simulator.sentMessages, stage.simulator.sentAt).map { ($0, $1) }
        #expect(came.count == 10)
        // What leaves a second apart may come a little closer.
        let second = Duration.milliseconds(900)
        let inOneChat = came.filter { $0.0.receiver == "oc_1" }.map(\.1)
        #expect(zip(inOneChat, inOneChat.dropFirst(2)).allSatisfy { $0.duration(to: $1) > second })
        let all = came.map(\.1)
        #expect(zip(all, all.dropFirst(3)).allSatisfy { $0.duration(to: $1) > second })
        await stage.end(daemon)
    }
}
