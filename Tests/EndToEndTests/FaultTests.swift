import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("Faults, through the real daemon")
struct FaultTests {
    /// On a Postgres of its own, which may be stopped.
    private func stageWithServer() async throws -> (Stage, PrivatePostgres) {
        let server = try await TestPostgres.makeServer()
        return (try await Stage(url: server.url), server)
    }

    @Test("I1, B15: while Postgres is down a message is acked 500; it comes again and is stored once")
    func postgresDownAtIngest() async throws {
        let (stage, server) = try await stageWithServer()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
        let id = await stage.say("are you there?")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.states(of: id).first?.acks.first == 500 })
        try await server.start(deadline: .after(.seconds(30)))
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.states(of: id).first?.acks.last == 200 })
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"are you there?"}"#])
        #expect(try await stage.rows("SELECT count(*) FROM gateway.chat_message WHERE role = 'user'") == ["(1)"])
        #expect(try await daemon.logged("ingest.recovered").count == 1)
        #expect(daemon.events("ingest.failed").count == 1, "logged once")
        #expect(daemon.events("connection.closed").isEmpty, "D9: the connection stays")
        await stage.end(worker, daemon)
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
    }

    @Test("C11: Postgres away when the window closes delays the run, and makes no notice")
    func postgresDownAtFlush() async throws {
        let (stage, server) = try await stageWithServer()
        let daemon = try await stage.start(stage.configuration(window: "6s", maxWait: "6s"))
        let id = await stage.say("wait for me")
        #expect(await stage.acked(id, [200]))
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
        #expect(try await daemon.logs("window.flush_failed"))
        try await server.start(deadline: .after(.seconds(30)))
        #expect(try await daemon.logs("task.queued"), "\(daemon.output.suffix(4000))")
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task") == ["(1)"])
        #expect(try await stage.rows("SELECT count(*) FROM gateway.outbox") == ["(0)"])
        await stage.end(daemon)
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
    }

    @Test(
        "D11: without a database a gateway goes on until its lease could have ended, then lets go, and comes back with it"
    )
    func leaseNotRenewed() async throws {
        let (stage, server) = try await stageWithServer()
        let daemon = try await stage.start(
            stage.configuration(extra: #", "lease": {"ttl": "6s", "renew_every": "2s"}"#))
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
        #expect(try await daemon.logs("lease.lost"))
        #expect(daemon.events("lease.lost").first?["reason"].string == "it could not be renewed in time")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 0 })
        try await server.start(deadline: .after(.seconds(30)))
        #expect(try await daemon.logs("connection.opened", count: 2))
        let id = await stage.say("back")
        #expect(await stage.acked(id, [200]))
        await stage.end(daemon)
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
    }

    @Test("B16: an ack that gets lost brings a duplicate, which is acked 200 and changes nothing")
    func lostAck() async throws {
        var timing = Stage.quick
        timing.ackTimeout = .seconds(1)
        let stage = try await Stage(timing: timing)
        let daemon = try await stage.start(stage.configuration())
        await stage.simulator.loseAcks(1)
        let id = await stage.say("once")
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.states(of: id).first?.isSettled == true })
        // A slow machine may see it delivered more than twice; each replay is a duplicate and nothing else.
        #expect(await stage.simulator.states(of: id).first.map { $0.attempts >= 2 } == true)
        #expect(try await stage.rows("SELECT count(*) FROM gateway.chat_message") == ["(1)"])
        #expect(try await stage.rows("SELECT DISTINCT reason FROM gateway.inbound_audit") == ["(duplicate)"])
        await stage.end(daemon)
    }

    @Test("C12: a notice that can't be sent is tried again; the flush stands")
    func noticeFails() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(runtime: nil))
        await stage.simulator.failMessages([(status: 500, body: "oops"), (status: 429, body: #"{"code":99991400}"#)])
        await stage.say("hello")
        #expect(await stage.sent(1).count == 1)
        #expect(try await daemon.logged("outbox.retried", count: 2).count == 2)
        #expect(try await stage.rows("SELECT count(*) FROM gateway.pending_run") == ["(0)"])
        #expect(try await stage.rows("SELECT attempts FROM gateway.outbox") == ["(3)"])
        await stage.end(daemon)
    }

    @Test(
        "a send that can't be recorded is recorded when Postgres lets it: nothing is sent twice, and the chat goes on")
    func settlementFails() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(runtime: nil))
        try await refuseSettlements(stage)
        await stage.say("/help")
        // The row is not taken again for a minute: who gives up before lets the chat wait for that.
        #expect(try await isRefused(stage, times: 6))
        try await stage.pool.run("DROP TRIGGER refuse ON gateway.outbox")
        await stage.say("/status")
        #expect(await stage.sent(2).count == 2)
        let isRecorded = try await eventually {
            try await stage.rows("SELECT attempts, sent_at IS NOT NULL FROM gateway.outbox") == ["(1,t)", "(1,t)"]
        }
        #expect(isRecorded)
        #expect(await stage.simulator.sentMessages.count == 2)
        await stage.end(daemon)
    }

    @Test(
        "F6: told to stop while a send can't be recorded, it stops; the next one records it, and nothing is sent twice")
    func stopsWithoutSettlement() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(runtime: nil))
        try await refuseSettlements(stage)
        await stage.say("/help")
        #expect(try await isRefused(stage, times: 2))
        #expect(await daemon.stop() == 0)
        #expect(daemon.events("gateway.shutdown_incomplete").isEmpty)
        try await stage.pool.run("DROP TRIGGER refuse ON gateway.outbox")
        let next = try await stage.start(stage.configuration(runtime: nil))
        let isRecorded = try await eventually {
            try await stage.rows("SELECT attempts, sent_at IS NOT NULL FROM gateway.outbox") == ["(2,t)"]
        }
        #expect(isRecorded)
        #expect(await stage.simulator.sentMessages.count == 1)
        await stage.end(next)
    }

    /// Rows of the outbox can be taken, and what became of them can't be recorded.
    private func refuseSettlements(_ stage: Stage) async throws {
        try await stage.pool.run("CREATE SEQUENCE public.refused")
        try await stage.pool.run(
            """
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                -- A sequence counts what is rolled back, too.
                PERFORM nextval('public.refused');
                RAISE EXCEPTION 'injected' USING ERRCODE = '40001';
            END $$
            """)
        try await stage.pool.run(
            """
            CREATE TRIGGER refuse BEFORE UPDATE OF sent_at ON gateway.outbox FOR EACH ROW EXECUTE FUNCTION public.refuse()
            """)
    }

    private func isRefused(_ stage: Stage, times: Int) async throws -> Bool {
        try await eventually { try await stage.rows("SELECT last_value >= \(times) FROM public.refused") == ["(t)"] }
    }

    @Test("when the answer to a claim, or to the taking of a reply, gets lost, it is had again at once, and once")
    func lostAnswers() async throws {
        let wire = try LostAnswers(before: try await TestPostgres.makeDatabase())
        let stage = try await Stage(url: wire.url)
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        for (statement, chat) in [("claim_task", "oc_1"), ("take_outbox", "oc_2")] {
            let sent = await stage.simulator.sentMessages.count
            wire.loseNext(statement, saying: chat)
            await stage.say("hello", in: chat)
            #expect(await stage.sent(sent + 1).last?.receiver == chat)
            #expect(wire.isLost)
        }
        #expect(try await stage.rows("SELECT attempt FROM gateway.agent_task") == ["(1)", "(1)"])
        let isRecorded = try await eventually {
            try await stage.rows("SELECT attempts, sent_at IS NOT NULL FROM gateway.outbox") == ["(1,t)", "(1,t)"]
        }
        #expect(isRecorded)
        await stage.end(worker, daemon)
    }

    @Test("a message that the platform refuses for good is dead, with what to do, and does not stop the next")
    func deadMessage() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        await stage.simulator.failMessages([
            (status: 400, body: #"{"code":230002,"msg":"Bot can NOT be out of the chat"}"#)
        ])
        await stage.say("one")
        #expect(try await daemon.logs("outbox.died"))
        #expect(daemon.events("outbox.died").first?["error"].string?.contains("the bot is not in the chat") == true)
        await stage.say("two")
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"two"}"#])
        await stage.end(worker, daemon)
    }

    @Test("what is over its age goes at the start; while that fails messages are stored, and it is tried again")
    func pruning() async throws {
        let stage = try await Stage()
        try await stage.pool.run(
            """
            INSERT INTO gateway.inbound_audit (lark_message_id, reason, received_at)
            VALUES ('om_old', 'invalid_event', now() - interval '91 days')
            """)
        try await stage.pool.run("ALTER TABLE gateway.inbound_audit RENAME COLUMN received_at TO hidden")
        try await stage.pool.run(
            """
            INSERT INTO gateway.inbound_dedup (installation_id, lark_message_id, received_at)
            VALUES (1, 'om_old', now() - interval '25 hours')
            """)
        let daemon = try await stage.start(stage.configuration())
        let isSaid = try await eventually {
            daemon.events("database.unavailable").contains { $0["during"].string == "prune" }
        }
        #expect(isSaid)
        let id = await stage.say("hello")
        #expect(await stage.acked(id, [200]))
        try await stage.pool.run("ALTER TABLE gateway.inbound_audit RENAME COLUMN hidden TO received_at")
        #expect(try await daemon.logs("rows.pruned"))
        #expect(try await daemon.logs("database.recovered"))
        #expect(try await stage.rows("SELECT lark_message_id FROM gateway.inbound_dedup") == ["(\(id))"])
        #expect(try await stage.rows("SELECT 1 FROM gateway.inbound_audit").isEmpty)
        await stage.end(daemon)
    }

    @Test("C18, I4: after a kill -9 between the ack and the flush the run comes after the restart, once")
    func killed() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration(window: "2s", maxWait: "4s")
        let first = try await stage.start(configuration)
        let id = await stage.say("survive")
        #expect(await stage.acked(id, [200]))
        await first.killNow()
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task") == ["(0)"])
        let second = try await stage.start(configuration)
        let worker = try await stage.startWorker()
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"survive"}"#])
        #expect(try await stage.rows("SELECT count(*) FROM gateway.agent_task") == ["(1)"])
        await stage.end(worker, second)
    }

    @Test("F6: a reply that was being sent at a kill -9 goes out after the restart, once")
    func killedWhileSending() async throws {
        let stage = try await Stage()
        let first = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        // The platform took the message, and the answer got lost.
        await stage.simulator.failMessages(Array(repeating: (status: 503, body: "overloaded"), count: 1))
        await stage.say("hello")
        #expect(try await first.logs("outbox.retried"))
        await first.killNow()
        let second = try await stage.start(stage.configuration())
        #expect(try await second.logs("outbox.sent"))
        #expect(await stage.simulator.sentMessages.count == 1)
        await stage.end(worker, second)
    }

    @Test("C13, I4: SIGTERM flushes the open windows, releases the lease and exits 0")
    func sigterm() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(window: "20s", maxWait: "30s"))
        let id = await stage.say("before you go")
        #expect(await stage.acked(id, [200]))
        #expect(await daemon.stop() == 0)
        #expect(try await stage.rows("SELECT status FROM gateway.agent_task") == ["(queued)"])
        #expect(try await stage.rows("SELECT lease_holder IS NULL FROM gateway.installation") == ["(t)"])
        #expect(daemon.events("gateway.stopped").count == 1)
        await stage.end()
    }

    @Test("D4: a connection that is cut is made again, and what was not acked comes on the next")
    func cut() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        await stage.simulator.cutConnections()
        #expect(try await daemon.logs("connection.closed"))
        let id = await stage.say("after the cut")
        #expect(await stage.acked(id, [200]))
        await stage.simulator.cutConnections(reset: true)
        #expect(try await daemon.logs("connection.opened", count: 3))
        #expect(daemon.events("connection.closed").first?["level"].string == "info")
        await stage.end(daemon)
    }

    @Test("I7: a second replica waits, and connects when the first one releases")
    func handover() async throws {
        let stage = try await Stage()
        let first = try await stage.start(stage.configuration())
        let second = try Daemon.run(stage.configuration())
        #expect(try await second.logs("lease.held_elsewhere"))
        #expect(await stage.simulator.connectionCount == 1)
        #expect(await first.stop() == 0)
        #expect(try await second.logs("connection.opened"))
        await stage.end(second)
    }

    @Test("C5: claims whose worker was killed are run again by another, with one reply")
    func deadWorker() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let doomed = try Daemon([
            "worker", "--config", try Daemon.file(stage.configuration()), "--runtime", "default", "--lease", "1s", "--",
            "/bin/sleep", "60",
        ])
        await stage.say("hello")
        #expect(try await doomed.logs("task.claimed"))
        await doomed.killNow()
        let worker = try await stage.startWorker()
        #expect(await stage.sent(1).map(\.content) == [#"{"text":"hello"}"#])
        #expect(try await stage.rows("SELECT status, attempt FROM gateway.agent_task") == ["(completed,2)"])
        await stage.end(worker, daemon)
    }
}
