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
        let status = try await command(stage, "status", status: 1)
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
        // What leaves a second apart may come closer, on a slow machine; without a limit all would come at once.
        let second = Duration.milliseconds(400)
        let inOneChat = came.filter { $0.0.receiver == "oc_1" }.map(\.1)
        #expect(zip(inOneChat, inOneChat.dropFirst(2)).allSatisfy { $0.duration(to: $1) > second })
        let all = came.map(\.1)
        #expect(zip(all, all.dropFirst(3)).allSatisfy { $0.duration(to: $1) > second })
        await stage.end(daemon)
    }

    // MARK: The typing indicator

    private func signs(_ stage: Stage) async throws -> Bool {
        try await eventually { try await stage.rows("SELECT count(*) FROM gateway.typing") == ["(0)"] }
    }

    @Test("F7: while a run waits or goes on its message has a sign, which is gone before the reply is there")
    func typing() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let first = await stage.say("one")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.timeline == ["+\(first)"] })
        await stage.say("two")
        let worker = try await stage.startWorker()
        _ = await stage.sent(1)
        #expect(await stage.simulator.timeline == ["+\(first)", "-\(first)", "sent"], "one sign for the burst")
        #expect(try await signs(stage))
        // An empty reply sends nothing, and ends the sign all the same.
        await worker.killNow()
        let silent = try await stage.startWorker("true")
        let third = await stage.say("three")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.timeline.last == "-\(third)" })
        #expect(try await signs(stage))
        await stage.end(silent, daemon)
    }

    @Test("F7: a sign that stands when the gateway is killed is taken away by the next one, before the reply")
    func typingAcrossRestart() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let first = await stage.say("one")
        let isKept = try await eventually {
            try await stage.rows("SELECT count(*) FROM gateway.typing WHERE reaction_id IS NOT NULL") == ["(1)"]
        }
        #expect(isKept)
        #expect(try await daemon.logs("task.queued"))
        await daemon.killNow()
        let worker = try await stage.startWorker()
        #expect(try await worker.logs("task.completed"))
        let next = try await stage.start(stage.configuration())
        _ = await stage.sent(1)
        #expect(await stage.simulator.timeline == ["+\(first)", "-\(first)", "sent"])
        #expect(try await signs(stage))
        await stage.end(worker, next)
    }

    @Test("F7, C24: a run that fails or is cancelled leaves no sign; an agent that is offline has none")
    func typingEnds() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let failing = try await stage.startWorker("exit 3")
        let first = await stage.say("one")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.timeline.contains("-\(first)") })
        #expect(await stage.sent(1).first?.content.contains("status 3") == true)
        await failing.killNow()
        let slow = try await stage.startWorker("sleep 60")
        let second = await stage.say("two")
        #expect(try await slow.logs("task.claimed"))
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.timeline.contains("+\(second)") })
        try await stage.pool.run("UPDATE gateway.agent SET archived_at = now()")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.timeline.contains("-\(second)") })
        let third = await stage.say("three")
        #expect(await stage.acked(third, [200]))
        #expect(try await signs(stage))
        #expect(await !stage.simulator.timeline.contains("+\(third)"))
        await stage.end(slow, daemon)
    }

    @Test("F8: reactions that fail change nothing: the reply comes; an app that may not react is said so once")
    func typingFails() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        await stage.simulator.failReactions([
            (status: 500, body: "oops")
        ])
        await stage.say("one")
        #expect(await stage.sent(1).count == 1)
        // It could stand there all the same: so it is put there once more, and taken away.
        #expect(try await signs(stage))
        await stage.simulator.failReactions([
            (status: 400, body: #"{"code":99991672,"msg":"scope im:message.reactions:write_only"}"#)
        ])
        await stage.say("two")
        #expect(await stage.sent(2).count == 2)
        await stage.say("three")
        #expect(await stage.sent(3).count == 3)
        #expect(try await signs(stage))
        #expect(try await daemon.logged("typing.failed").filter { $0["level"].string == "warning" }.count == 1)
        #expect(await stage.simulator.reactions.isEmpty)
        await stage.end(worker, daemon)
    }

    // MARK: Progress

    @Test("what a command says of its progress is one card in the chat, changed in place at most once a second")
    func progress() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker(
            """
            for n in 1 2 3 4 5 6; do echo "{\\"progress\\": \\"step $n of <6>\\"}"; sleep 0.4; done; sleep 5; echo done
            """)
        await stage.say("work")
        #expect(await stage.sent(1).first?.content.contains("step 1 of &#60;6&#62;") == true)
        _ = await stage.sent(2)
        #expect(await stage.simulator.sentMessages.last?.content == #"{"text":"done"}"#)
        let updates = await stage.simulator.updates
        let card = try #require(await stage.simulator.sentMessages.first?.messageID)
        #expect((1...5).contains(updates.count), "\(updates)")
        #expect(updates.allSatisfy { $0.messageID == card })
        #expect(updates.last?.content.contains("step 6") == true)
        let times = await stage.simulator.updatedAt
        #expect(zip(times, times.dropFirst()).allSatisfy { $0.duration(to: $1) > .milliseconds(400) })
        // Nothing of it is kept, and none of it is a message of the session.
        let isGone = try await eventually(within: .seconds(40)) {
            try await stage.rows("SELECT count(*) FROM gateway.progress") == ["(0)"]
        }
        #expect(isGone)
        #expect(try await stage.rows("SELECT count(*) FROM gateway.chat_message") == ["(2)"])
        await stage.end(worker, daemon)
    }

    @Test("progress that can't be shown changes nothing: the reply comes")
    func progressFails() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker(#"echo '{"progress": "hm"}'; sleep 1; echo done"#)
        await stage.simulator.failMessages([(status: 400, body: #"{"code":230099,"msg":"card"}"#)])
        await stage.say("work")
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"done"}"#])
        #expect(try await daemon.logged("progress.failed").count == 1)
        #expect(await stage.simulator.updates.isEmpty)
        await stage.end(worker, daemon)
    }
}
