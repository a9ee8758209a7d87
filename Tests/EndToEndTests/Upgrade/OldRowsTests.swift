import AsyncRuntime
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("Rows of an older version")
struct OldRowsTests {
    @Test(
        "what an older version left open is claimed, answered and sent after the upgrade, once; what it had done is left"
    )
    func answered() async throws {
        let stage = try await Stage(url: try await TestPostgres.makeOldDatabase())
        let daemon = try await stage.start(stage.configuration())
        #expect(daemon.events("schema.migrated").first?["number"].integer == 17)
        #expect(daemon.events("schema.defined").count == 1)
        let worker = try await stage.startWorker()
        let open = """
            SELECT (SELECT count(*) FROM gateway.pending_run)
                + (SELECT count(*) FROM gateway.agent_task WHERE status IN ('queued', 'claimed'))
                + (SELECT count(*) FROM gateway.outbox o JOIN gateway.installation i ON i.id = o.installation_id
                    WHERE i.app_id = 'cli_test' AND o.sent_at IS NULL AND o.dead_at IS NULL)
            """
        #expect(try await eventually(within: .seconds(60)) { try await stage.rows(open) == ["(0)"] })

        let sent = await stage.simulator.sentMessages
        func contents(_ chat: String) -> [String] { sent.filter { $0.receiver == chat }.map(\.content) }
        #expect(contents("oc_window") == [#"{"text":"the first of a burst\nthe note after it"}"#])
        #expect(contents("oc_unsent") == [#"{"text":"an answer that waits"}"#])
        #expect(
            contents("oc_claimed").last == #"{"text":"claimed by a worker that is gone\nsaid while it ran"}"#,
            "the claim of a worker that is gone, and what was queued behind it, are one run")
        #expect(contents("oc_new") == [#"{"text":"before the boundary"}"#, #"{"text":"after the boundary"}"#])
        #expect(sent.filter { $0.replyTo == "om_queued_1" && $0.inThread }.count == 1)
        #expect(contents("oc_done").count == 1, "the answer to /issue; the reply was sent before")
        #expect(contents("oc_failed").isEmpty)
        await stage.end(daemon, worker)
    }
}
