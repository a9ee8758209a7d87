import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("What is kept, and for how long")
struct RetentionTests {
    @Test("dedup rows go after a day, audit rows after their age; what is younger stays, and so does the message")
    func pruning() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_old"), Fixture.message("om_new"))
        // Over many heap blocks, so that the walk takes more than one slice.
        try await fixture.pool.run(
            """
            INSERT INTO gateway.inbound_dedup (installation_id, lark_message_id, received_at)
            SELECT \(fixture.lease.installation.rawValue), 'om_seed_' || n || repeat('x', 200), now() - interval '25 hours'
            FROM generate_series(1, 5000) n
            """)
        try await fixture.pool.run(
            """
            UPDATE gateway.inbound_dedup SET received_at = now() - interval '24 hours 1 minute'
            WHERE lark_message_id = 'om_old'
            """)
        try await fixture.pool.run(
            """
            INSERT INTO gateway.inbound_audit (lark_message_id, reason, received_at)
            VALUES ('om_a', 'invalid_event', now() - interval '91 days'),
                ('om_b', 'invalid_event', now() - interval '89 days')
            """)
        #expect(try await fixture.repository.prune(Retention()) == 5002)
        #expect(try await fixture.pool.rows("SELECT lark_message_id FROM gateway.inbound_dedup") == ["(om_new)"])
        #expect(try await fixture.pool.rows("SELECT lark_message_id FROM gateway.inbound_audit") == ["(om_b)"])
        #expect(try await fixture.ingest(Fixture.message("om_old"))[0].verdict == .duplicate, "I2: also after pruning")
        #expect(try await fixture.repository.prune(Retention()) == 0)
    }

    @Test("what was said in a group goes once its run has answered, or after a day")
    func groupContext() async throws {
        let fixture = try await Fixture()
        var sessions: [SessionKey] = []
        for chat in ["oc_1", "oc_2", "oc_3"] {
            let message = Fixture.message("om_\(chat)", chat: chat, type: .group)
            let session = try #require(try await fixture.ingest(message)[0].session)
            try await fixture.repository.put("[]", of: session, at: 1, under: fixture.lease)
            sessions.append(session)
        }
        try await fixture.flush(sessions[0])
        let task = try #require(try await fixture.claim())
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "yes")
        try await fixture.pool.run(
            "UPDATE gateway.group_context SET fetched_at = now() - interval '25 hours' WHERE session_id = $1",
            [.int(sessions[1].session)])
        #expect(try await fixture.repository.prune(Retention()) == 2)
        #expect(
            try await fixture.pool.rows("SELECT session_id FROM gateway.group_context") == ["(\(sessions[2].session))"])
    }
}
