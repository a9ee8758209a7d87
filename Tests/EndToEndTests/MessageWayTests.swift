import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("The way of a message, through the real daemon")
struct MessageWayTests {
    @Test(
        "C2, I2: a forwarded transcript and a note 1 s later become one run with both, and one reply; replays change nothing"
    )
    func seedScenario() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(window: "3s", maxWait: "30s"))
        let worker = try await stage.startWorker()
        let transcript = await stage.say("transcript of yesterday")
        #expect(await stage.acked(transcript, [200]), "acked by itself, at once")
        try await Task.sleep(for: .seconds(1))
        let note = await stage.say("please summarise")
        #expect(await stage.acked(note, [200]))
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task") == ["(0)"], "the window is still open")

        let sent = await stage.sent(1)
        #expect(sent.map(\.content) == [#"{"text":"transcript of yesterday\nplease summarise"}"#])
        #expect(sent.first?.receiver == "oc_1")
        #expect(
            try await stage.rows("SELECT position, role FROM gateway.chat_message ORDER BY position")
                == ["(1,user)", "(2,user)", "(3,assistant)"])
        #expect(
            try await stage.rows(
                """
                SELECT t.created_at >= m.created_at + interval '3 seconds' FROM gateway.agent_task t, gateway.chat_message m
                WHERE m.position = 2
                """) == ["(t)"], "one task, 3 s after the note")

        await stage.simulator.repeatDelivery(of: transcript)
        await stage.simulator.repeatDelivery(of: note)
        #expect(await stage.acked(transcript, [200, 200]))
        #expect(await stage.acked(note, [200, 200]))
        #expect(try await stage.rows("SELECT count(*) FROM gateway.chat_message") == ["(3)"])
        #expect(try await stage.rows("SELECT count(*) FROM gateway.pending_run") == ["(0)"])
        #expect(try await stage.rows("SELECT reason FROM gateway.inbound_audit") == ["(duplicate)", "(duplicate)"])
        #expect(await stage.simulator.sentMessages.count == 1)
        #expect(await worker.stop() == 0)
        #expect(await daemon.stop() == 0)
        await stage.end()
    }

    @Test(
        "B30, B37, B39: commands are answered at once, in the chat; after /new the agent is told that it is another context"
    )
    func commands() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let issue = await stage.say("/issue It broke <at id=all></at>\nwhen I pressed the button")
        #expect(await stage.acked(issue, [200]))
        await stage.simulator.repeatDelivery(of: issue)
        #expect(await stage.acked(issue, [200, 200]))
        await stage.say("/help")
        _ = await stage.sent(2)
        await stage.say("/status", in: "oc_group", type: "group", mention: true)
        let sent = await stage.sent(3)
        #expect(sent.last?.replyTo != nil, "in a group it answers the message")
        let answers = sent.map(\.content)
        for (answer, words) in zip(
            answers, ["Created ACME-1: It broke &#60;at id=all", "**/issue** TITLE", "I am here."])
        {
            #expect(answer.contains(words), "\(answer)")
        }
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task") == ["(0)"])

        let worker = try await stage.startWorker(#"grep -o '"context":[0-9]*\|"content": "[^"]*"' | tr '\n' ' '"#)
        await stage.say("hello")
        #expect(await stage.sent(4).last?.content == #"{"text":"\"context\":0 \"content\": \"hello\" "}"#)
        await stage.say("/new again")
        #expect(await stage.sent(5).last?.content == #"{"text":"\"context\":5 \"content\": \"again\" "}"#)
        await stage.say("/new")
        #expect(await stage.sent(6).last?.content.contains("A fresh start") == true)
        #expect(
            try await daemon.logged("message.ingested", count: 6).map { $0["command"].string } == [
                "issue", "help", "status", nil, "new", "new",
            ])
        #expect(!daemon.output.contains("It broke"))
        await stage.end(worker, daemon)
    }

    @Test("E7, E8, E9: an agent that is asked in a group gets what was said before, if that comes in time")
    func groupContext() async throws {
        let stage = try await Stage()
        let now = Int64(Date().timeIntervalSince1970 * 1000)
        await stage.simulator.addHistory([
            HistoricMessage(
                chatID: "oc_1", sender: "ou_2", text: "the login is broken", sentAtMilliseconds: now - 5_000),
            HistoricMessage(
                chatID: "oc_1", threadID: "omt_1", sender: "ou_3", text: "of a topic", sentAtMilliseconds: now - 4_000),
        ])
        let daemon = try await stage.start(stage.configuration(window: "1s"))
        let worker = try await stage.startWorker(
            #"grep -o '"content": *"[^"]*"' | sed 's/.*: *"//; s/"$//' | tr '\n' ','"#)
        await stage.say("what now?", type: "group", mention: true)
        #expect(await stage.sent(1).last?.content == #"{"text":"the login is broken,what now?,"}"#)
        await stage.say("and here?", type: "group", mention: true, thread: "omt_1")
        #expect(await stage.sent(2).last?.content == #"{"text":"of a topic,and here?,"}"#)

        // Too slow, refused: without it, and the message was acked long before.
        var slow = APIFault()
        slow.delay = .seconds(5)
        await stage.simulator.failHistory([slow, APIFault(status: 400, body: #"{"code":230027,"msg":"scope"}"#)])
        let first = await stage.say("slow?", type: "group", mention: true)
        #expect(await stage.acked(first, [200]))
        #expect(await stage.sent(3).last?.content == #"{"text":"slow?,"}"#)
        await stage.say("refused?", type: "group", mention: true)
        #expect(await stage.sent(4).last?.content == #"{"text":"refused?,"}"#)
        let isSaid = try await eventually { daemon.events("context.failed").count == 2 }
        #expect(isSaid)
        #expect(Set(daemon.events("context.failed").map { $0["level"].string }) == ["info", "warning"])
        await stage.end(worker, daemon)
    }

    @Test("R3: while nobody knows who the bot is, a mention in a group is not lost: it comes again, and is answered")
    func unknownIdentity() async throws {
        let stage = try await Stage()
        await stage.simulator.failBotInfo(APIFault(status: 500, body: "oops"))
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        let mentions = [
            await stage.say("one?", in: "oc_1", type: "group", mention: true),
            await stage.say("two?", in: "oc_2", type: "group", mention: true),
        ]
        let silent = await stage.say("by the way", in: "oc_1", type: "group")
        let direct = await stage.say("hello", in: "oc_p2p")
        #expect(await stage.acked(silent, [200]))
        #expect(await stage.acked(direct, [200]))
        for mention in mentions {
            let isRefused = await stage.simulator.wait(until: .after(.seconds(30))) { simulator in
                let acks = simulator.states(of: mention).flatMap(\.acks)
                return acks.count >= 2 && acks.allSatisfy { $0 == 500 }
            }
            #expect(isRefused)
        }
        #expect(try await stage.rows("SELECT reason FROM gateway.inbound_audit") == ["(not_addressed_in_group)"])
        await stage.simulator.failBotInfo(nil)
        let sent = await stage.sent(3)
        #expect(Set(sent.map(\.content)) == Set(["one?", "two?", "hello"].map { "{\"text\":\"\($0)\"}" }))
        for mention in mentions {
            let isStored = await stage.simulator.wait(until: .after(.seconds(30))) { simulator in
                simulator.states(of: mention).last?.acks.last == 200
            }
            #expect(isStored)
        }
        #expect(daemon.events("message.deferred").count == 1, "once, not per message")
        #expect(daemon.events("bot_identity.unknown").count == 1, "once, not per attempt")
        #expect(daemon.events("bot_identity.unknown").first?["level"].string == "warning")
        #expect(try await stage.metrics(of: daemon).contains(#"lark_gateway_acks_total{code="500"}"#))
        await stage.end(worker, daemon)
    }

    @Test("R3: an app that is told for good that it has no bot is one error, with what to do")
    func noBot() async throws {
        let stage = try await Stage()
        await stage.simulator.failBotInfo(APIFault(status: 400, body: #"{"code":11205,"msg":"app do not have bot"}"#))
        let daemon = try await stage.start(stage.configuration())
        let mention = await stage.say("one?", type: "group", mention: true)
        let isRefused = await stage.simulator.wait(until: .after(.seconds(30))) { simulator in
            simulator.states(of: mention).flatMap(\.acks).count >= 2
        }
        #expect(isRefused)
        #expect(await stage.simulator.states(of: mention).flatMap(\.acks).allSatisfy { $0 == 500 })
        let errors = try await daemon.logged("bot_identity.unknown")
        #expect(errors.map { $0["level"].string } == ["error"])
        #expect(errors.first?["hint"].string?.contains("turn on the bot ability") == true)
        await stage.end(daemon)
    }

    @Test("C3: two chats know nothing of each other's windows")
    func twoChats() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        await stage.say("a", in: "oc_a")
        await stage.say("b", in: "oc_b")
        let sent = await stage.sent(2)
        #expect(Set(sent.map { $0.receiver + $0.content }) == [#"oc_a{"text":"a"}"#, #"oc_b{"text":"b"}"#])
        await stage.end(worker, daemon)
    }

    @Test("C6: a stream without silence runs at max_wait, while it goes on")
    func stream() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(window: "1s", maxWait: "2s"))
        let talking = Task {
            while !Task.isCancelled {
                await stage.say("more")
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        #expect(try await daemon.logs("task.queued"))
        talking.cancel()
        await stage.end(daemon)
    }

    @Test("C22: a message that arrives while the agent runs makes a second task with just that message")
    func duringARun() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let gate = try TemporaryFolder.make("gate") + "/open"
        let worker = try await stage.startWorker("while [ ! -e \(gate) ]; do sleep 0.05; done; " + Stage.echo)
        await stage.say("first")
        #expect(try await worker.logs("task.claimed"))
        await stage.say("second")
        #expect(try await daemon.logs("task.queued", count: 2))
        #expect(FileManager.default.createFile(atPath: gate, contents: nil))
        #expect(await stage.sent(2).map(\.content) == [#"{"text":"first"}"#, #"{"text":"second"}"#])
        await stage.end(worker, daemon)
    }

    @Test(
        "C8: with the agent offline the message is stored and acked, one notice stands in the chat, no task; a runtime brings the answer"
    )
    func offline() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(runtime: nil))
        let id = await stage.say("anybody there?")
        #expect(await stage.acked(id, [200]))
        let notice = try #require(await stage.sent(1).first)
        #expect(notice.type == "interactive")
        #expect(notice.content.contains("offline") && notice.content.contains("\"support\""))
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task") == ["(0)"])
        try await stage.pool.run("UPDATE gateway.agent SET runtime_id = 'default'")
        let worker = try await stage.startWorker()
        #expect(await stage.sent(2).last?.content == #"{"text":"anybody there?"}"#)
        await stage.end(worker, daemon)
    }

    @Test("C9: an archived agent has its own notice")
    func archived() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        try await stage.pool.run("UPDATE gateway.agent SET archived_at = now()")
        await stage.say("hello")
        #expect(await stage.sent(1).first?.content.contains("archived") == true)
        await stage.end(daemon)
    }

    @Test(
        "B8, F5: an unknown sender is asked to bind, privately; when the code is approved the next message is answered")
    func pairing() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration(access: "pairing")
        let daemon = try await stage.start(configuration)
        let id = await stage.say("let me in", in: "oc_g", from: "ou_new", type: "group", mention: true)
        #expect(await stage.acked(id, [200]))
        let prompt = try #require(await stage.sent(1).first)
        #expect(prompt.receiverType == "open_id")
        #expect(prompt.receiver == "ou_new")
        #expect(try await stage.rows("SELECT count(*) FROM gateway.chat_message") == ["(0)"])
        #expect(try await stage.rows("SELECT reason FROM gateway.inbound_audit") == ["(unbound_user)"])

        let code = try #require(prompt.content.firstMatch(of: /\*\*([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})\*\*/)).1
        #expect(
            try await stage.rows("SELECT 1 FROM gateway.binding_token t WHERE t::text LIKE '%\(code)%'").isEmpty,
            "I8: only its hash is stored")
        func approve(_ code: String, _ options: String...) async throws -> (Int32, String) {
            let command = try Daemon(
                ["member", "approve", code, "--config", try Daemon.file(configuration), "--name", "Ann"] + options)
            return (await command.ended(), command.output)
        }
        #expect(try await approve("00000-00000").1.contains("no such code"))
        // S15: who it is, and nothing more where nobody can agree.
        let asked = try await approve(String(code))
        #expect(asked.0 == 2 && asked.1.contains("ou_new, whose name and tenant are not known"), "\(asked.1)")
        #expect(asked.1.contains("wrote to the bot cli_test (agent support of acme), last in the chat oc_g"))
        #expect(asked.1.contains("becomes the member Ann of acme") && asked.1.contains("add --yes"))
        // On a terminal, who says no.
        let file = try Daemon.file(configuration)
        let words = "\(Daemon.executable) member approve \(code) --config \(file) --name Ann"
        let refused = try await ChildProcess.run(
            "/usr/bin/script", ["-qec", words, "/dev/null"], input: Data("n\n".utf8), deadline: .after(.seconds(60)))
        let shown = String(decoding: refused.output, as: UTF8.self)
        #expect(refused.status == 1 && shown.contains("Let this person in? [y/N]"), "\(shown)")
        #expect(shown.contains("nothing changed"), "\(shown)")
        #expect(try await stage.rows("SELECT 1 FROM gateway.member_binding").isEmpty)
        await stage.simulator.name("ou_new", "Ann \u{202E}Miller")
        let approved = try await approve(String(code).lowercased(), "--yes")
        #expect(approved.0 == 0 && approved.1.contains("Ann \u{FFFD}Miller (ou_new), of the tenant"), "\(approved.1)")
        #expect(try await approve(String(code)).1.contains("used already"))
        let told = try #require(await stage.sent(2).last)
        #expect(told.receiver == "ou_new" && told.content.contains("You are connected, as Ann of acme"))
        let worker = try await stage.startWorker()
        await stage.say("hello", in: "oc_p", from: "ou_new")
        #expect(await stage.sent(3).last?.content == #"{"text":"hello"}"#)
        await stage.end(worker, daemon)
    }

    @Test("B5, B6: a group message is for the bot when it mentions it; the reply answers it")
    func group() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        let idle = await stage.say("lunch?", in: "oc_g", type: "group")
        #expect(await stage.acked(idle, [200]))
        let question = await stage.say("status?", in: "oc_g", type: "group", mention: true)
        let reply = try #require(await stage.sent(1, within: .seconds(10)).first, "\(daemon.output) \(worker.output)")
        #expect(reply.content == #"{"text":"status?"}"#)
        #expect(reply.replyTo == question)
        #expect(
            try await stage.rows("SELECT lark_message_id, reason FROM gateway.inbound_audit") == [
                "(\(idle),not_addressed_in_group)"
            ])
        await stage.end(worker, daemon)
    }

    @Test("C23: a command that fails tells the chat why")
    func failingCommand() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker("exit 7")
        await stage.say("do it")
        #expect(await stage.sent(1).first?.content.contains("status 7") == true)
        await stage.end(worker, daemon)
    }

    @Test("a command whose task somebody else has by now is not run again, and what it says is refused")
    func lostClaim() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let file = try TemporaryFolder.make("attempts") + "/count"
        let worker = try await stage.startWorker(
            command: ["/bin/sh", "-c", "echo x >>\(file); sleep 3; exit 1"],
            options: ["--attempts", "3", "--lease", "1500ms"])
        await stage.say("do it")
        #expect(try await worker.logs("task.claimed"))
        try await stage.pool.run(
            "UPDATE gateway.agent_task SET worker = 'other', claim_expires_at = now() + interval '1 hour'")
        #expect(try await worker.logs("task.refused"))
        #expect(worker.events("task.attempt_failed").isEmpty)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "x\n")
        #expect(try await stage.rows("SELECT worker, status FROM gateway.agent_task") == ["(other,claimed)"])
        #expect(await stage.simulator.sentMessages.isEmpty)
        await stage.end(worker, daemon)
    }

    @Test("a command that fails is run again as often as it may; the chat hears of the last attempt alone")
    func attempts() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let file = try TemporaryFolder.make("attempts") + "/count"
        let script = """
            echo x >>\(file); n=$(wc -l <\(file)); grep -o '"attempt":[0-9]*'; [ $n -ne 1 ] && [ $n -ne 2 ] && [ $n -lt 4 ]
            """
        let worker = try await stage.startWorker(
            command: ["/bin/sh", "-c", script], options: ["--attempts", "3", "--lease", "3s"])
        await stage.say("third time lucky")
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"\"attempt\":3"}"#])
        #expect(try await worker.logged("task.attempt_failed", count: 2).map { $0["attempt"].integer } == [1, 2])
        await stage.say("never")
        let sent = await stage.sent(2)
        #expect(sent.last?.content.contains("ended with status 1") == true)
        #expect(try await worker.logged("task.failed").map { $0["attempt"].integer } == [3])
        #expect(worker.events("task.attempt_failed").count == 4)

        // A stop ends the waiting for another attempt: what there is counts.
        await stage.say("stop")
        #expect(try await worker.logs("task.attempt_failed", count: 5))
        #expect(await worker.stop() == 0)
        #expect(worker.events("task.failed").count == 2)
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task WHERE status = 'claimed'") == ["(0)"])
        await stage.end(daemon)
    }
}
