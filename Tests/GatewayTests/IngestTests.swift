import AsyncRuntime
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("The fate of a message")
struct IngestTests {
    @Test("B1: an event for another app is dropped invalid_event, audited without an installation")
    func foreignApp() async throws {
        let fixture = try await Fixture()
        let results = try await fixture.ingest(Fixture.message("om_1", app: "cli_unknown"))
        #expect(results.map(\.verdict) == [.invalidEvent])
        #expect(
            try await fixture.pool.rows(
                "SELECT installation_id, app_id, lark_message_id, reason FROM gateway.inbound_audit")
                == ["(,cli_unknown,om_1,invalid_event)"])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_message") == ["(0)"])
    }

    @Test("B2: a revoked installation drops everything, before anything else is looked at")
    func revoked() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1"))
        try await fixture.pool.run("UPDATE gateway.installation SET status = 'revoked'")
        let results = try await fixture.ingest(
            Fixture.message("om_1"), Fixture.message("om_2", type: .group, addressed: false))
        #expect(results.map(\.verdict) == [.revokedInstallation, .revokedInstallation])
        #expect(try await fixture.audit() == ["(revoked_installation)", "(revoked_installation)"])
    }

    @Test("B3, I2: a message that was handled before is a duplicate, whatever else it is now")
    func duplicate() async throws {
        let fixture = try await Fixture(access: .pairing)
        #expect(try await fixture.ingest(Fixture.message("om_1")).map(\.verdict) == [.unboundUser])
        // In one batch, in the next, and as a group message that is not addressed.
        let results = try await fixture.ingest(
            Fixture.message("om_1"), Fixture.message("om_1", type: .group, addressed: false))
        #expect(results.map(\.verdict) == [.duplicate, .duplicate])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(1)"], "no second prompt")
        #expect(try await fixture.audit() == ["(unbound_user)", "(duplicate)", "(duplicate)"])
    }

    @Test("I2: a replay that comes after its dedup row was pruned is still a duplicate")
    func pruned() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1"))
        try await fixture.pool.run("DELETE FROM gateway.inbound_dedup")
        #expect(try await fixture.ingest(Fixture.message("om_1")).map(\.verdict) == [.duplicate])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_message") == ["(1)"])
    }

    @Test("B4: the same message under another installation is another message")
    func twoBots() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b"])
        let other = Lease(
            installation: InstallationID(rawValue: fixture.lease.installation.rawValue + 1), generation: 1)
        #expect(try await fixture.ingest(Fixture.message("om_1")).map(\.verdict) == [.ingested])
        #expect(
            try await fixture.ingest(Fixture.message("om_1", app: "cli_b"), lease: other).map(\.verdict) == [.ingested])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_message") == ["(2)"])
    }

    @Test("B5, B7: a group message that does not mention the bot is dropped before identity: no prompt for strangers")
    func idleTalk() async throws {
        let fixture = try await Fixture(access: .pairing)
        let results = try await fixture.ingest(Fixture.message("om_1", type: .group, addressed: false))
        #expect(results.map(\.verdict) == [.notAddressedInGroup])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(0)"])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_session") == ["(0)"])
    }

    @Test("B8: an unknown sender gets one private prompt, also from a group; nothing is stored, no session is made")
    func unknownSender() async throws {
        let fixture = try await Fixture(access: .pairing)
        let results = try await fixture.ingest(
            Fixture.message("om_1", chat: "oc_g", type: .group), Fixture.message("om_2", chat: "oc_p"))
        #expect(results.map(\.verdict) == [.unboundUser, .unboundUser])
        try await fixture.ingest(Fixture.message("om_3"))
        #expect(
            try await fixture.pool.rows("SELECT kind, receive_id_type, receive_id FROM gateway.outbox")
                == ["(prompt,open_id,ou_1)"])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_session") == ["(0)"])
        #expect(try await fixture.audit() == Array(repeating: "(unbound_user)", count: 3))
        // I6: no body anywhere.
        #expect(try await fixture.pool.rows("SELECT 1 FROM gateway.inbound_audit a WHERE a::text LIKE '%hi%'").isEmpty)
    }

    @Test("S16: a stranger who can't be written to is not written to again for a quarter of an hour")
    func deadPrompt() async throws {
        let fixture = try await Fixture(access: .pairing)
        for number in 1...20 {
            try await fixture.ingest(Fixture.message("om_\(number)", chat: "oc_g", type: .group))
            try await fixture.pool.run(
                "UPDATE gateway.outbox SET dead_at = now(), last_error = '230013' WHERE dead_at IS NULL")
        }
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(1)"])
        try await fixture.pool.run("UPDATE gateway.outbox SET created_at = now() - interval '16 minutes'")
        try await fixture.ingest(Fixture.message("om_21", chat: "oc_g", type: .group))
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(2)"])
    }

    @Test("B9: when the membership ends the binding goes with it; the next message is dropped, with one notice")
    func formerMember() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1"))
        try await fixture.pool.run("DELETE FROM gateway.member")
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.member_binding") == ["(0)"])
        let results = try await fixture.ingest(Fixture.message("om_2"), Fixture.message("om_3"))
        #expect(results.map(\.verdict) == [.nonWorkspaceMember, .nonWorkspaceMember])
        try await fixture.ingest(Fixture.message("om_4"))
        #expect(
            try await fixture.pool.rows("SELECT kind, receive_id_type, receive_id FROM gateway.outbox")
                == ["(notice,open_id,ou_1)"])
    }

    @Test("B10: with access open an unknown sender becomes a member with this message")
    func open() async throws {
        let fixture = try await Fixture()
        let results = try await fixture.ingest(Fixture.message("om_1"), Fixture.message("om_2"))
        #expect(results.map(\.verdict) == [.ingested, .ingested])
        #expect(try await fixture.pool.rows("SELECT name FROM gateway.member") == ["(ou_1)"])
    }

    @Test("B11, B17: first messages of a chat at the same time make one session, and duplicates one row")
    func concurrently() async throws {
        let fixture = try await Fixture()
        let verdicts = try await withThrowingTaskGroup(of: [IngestResult].self) { group in
            for worker in 0..<8 {
                group.addTask {
                    try await fixture.ingest(Fixture.message("om_same"), Fixture.message("om_\(worker)"))
                }
            }
            return try await group.reduce(into: []) { $0 += $1.map(\.verdict) }
        }
        #expect(verdicts.filter { $0 == .duplicate }.count == 7)
        #expect(verdicts.filter { $0 == .ingested }.count == 9)
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_session") == ["(1)"])
        #expect(
            try await fixture.pool.rows(
                "SELECT count(*), count(DISTINCT position), max(position) FROM gateway.chat_message")
                == ["(9,9,9)"])
    }

    @Test("B12: a p2p session belongs to its sender, a group's to the installation")
    func ownership() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1"), Fixture.message("om_2", chat: "oc_g", type: .group))
        #expect(
            try await fixture.pool.rows(
                """
                SELECT b.chat_type, s.member_id IS NOT NULL FROM gateway.chat_session s
                JOIN gateway.chat_binding b ON b.session_id = s.id ORDER BY b.chat_type
                """) == ["(group,f)", "(p2p,t)"])
    }

    @Test("B13: each topic of a group has a session of its own, apart from the group's")
    func topics() async throws {
        let fixture = try await Fixture()
        let results = try await fixture.ingest(
            Fixture.message("om_1", chat: "oc_g", type: .group),
            Fixture.message("om_2", chat: "oc_g", thread: "omt_1", type: .group),
            Fixture.message("om_3", chat: "oc_g", thread: "omt_2", type: .group),
            Fixture.message("om_4", chat: "oc_g", thread: "omt_1", type: .group))
        let sessions = results.compactMap(\.session)
        #expect(Set(sessions).count == 3)
        #expect(sessions[1] == sessions[3])
        #expect(
            try await fixture.pool.rows("SELECT chat_type, thread_id FROM gateway.chat_binding ORDER BY thread_id")
                == ["(group,\"\")", "(topic,omt_1)", "(topic,omt_2)"])
    }

    @Test("B14, I3: a stored message has its position in the order of arrival, and moves the session's updated_at")
    func stored() async throws {
        let fixture = try await Fixture()
        let first = try await fixture.ingest(Fixture.message("om_1", "one"))
        let results = try await fixture.ingest(
            Fixture.message("om_2", "two"), Fixture.message("om_x", chat: "oc_2"), Fixture.message("om_3", "three"))
        #expect(first.map(\.position) == [1])
        #expect(results.map(\.position) == [2, 1, 3])
        #expect(
            try await fixture.pool.rows(
                """
                SELECT m.position, m.role, m.sender, m.content, m.lark_message_id FROM gateway.chat_message m
                JOIN gateway.chat_binding b USING (installation_id, session_id) WHERE b.chat_id = 'oc_1' ORDER BY 1
                """) == ["(1,user,ou_1,one,om_1)", "(2,user,ou_1,two,om_2)", "(3,user,ou_1,three,om_3)"])
        #expect(
            try await fixture.pool.rows(
                """
                SELECT DISTINCT s.updated_at = max(m.created_at) OVER (PARTITION BY s.id) FROM gateway.chat_session s
                JOIN gateway.chat_message m ON m.session_id = s.id
                """) == ["(t)"])
    }

    @Test("B18: a bot's message is dropped without a prompt")
    func appSender() async throws {
        let fixture = try await Fixture(access: .pairing)
        var message = Fixture.message("om_1")
        message.fault = .appSender
        message.sender = ""
        #expect(try await fixture.ingest(message).map(\.verdict) == [.appSender])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(0)"])
    }

    @Test("B19: a mention alone is a message")
    func emptyText() async throws {
        let fixture = try await Fixture()
        #expect(try await fixture.ingest(Fixture.message("om_1", "")).map(\.verdict) == [.ingested])
    }

    @Test("B22: what lacks its ids is dropped invalid_event, audited with what is there")
    func incomplete() async throws {
        let fixture = try await Fixture()
        var noID = Fixture.message("")
        noID.fault = .invalidEvent
        var noChat = Fixture.message("om_2", chat: "")
        noChat.fault = .invalidEvent
        #expect(try await fixture.ingest(noID, noChat).map(\.verdict) == [.invalidEvent, .invalidEvent])
        #expect(
            try await fixture.pool.rows(
                "SELECT lark_message_id, chat_id, sender FROM gateway.inbound_audit ORDER BY id")
                == ["(,oc_1,ou_1)", "(om_2,,ou_1)"])
    }

    @Test("I7: a replica that lost its lease writes nothing, and a takeover waits for what is being written")
    func fenced() async throws {
        let fixture = try await Fixture()
        let stale = Lease(installation: fixture.lease.installation, generation: 0)
        #expect(try await fixture.ingest(Fixture.message("om_1"), lease: stale).map(\.verdict) == [.fenced])
        for table in ["inbound_dedup", "inbound_audit", "chat_message", "chat_session", "pending_run", "outbox"] {
            #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.\(table)") == ["(0)"])
        }
        try await fixture.pool.withConnection(deadline: .after(.seconds(20))) { connection in
            func run(_ sql: String) async throws {
                try await connection.query(
                    Statement(name: "raw", sql: sql, isPrepared: false), deadline: .after(.seconds(20)))
            }
            // A write under the old generation is under way ...
            try await run("BEGIN")
            try await run("SELECT FROM gateway.installation FOR KEY SHARE")
            // ... so renewing does not wait, and taking over does.
            #expect(
                try await fixture.repository.holdLeases(holder: "test", ttl: .seconds(90), within: .seconds(20))
                    .map(\.lease) == [fixture.lease])
            try await fixture.pool.run("UPDATE gateway.installation SET lease_expires_at = now() - interval '1 second'")
            let taking = Task {
                try await fixture.repository.takeLeases(
                    holder: "other", deadHolders: [], appIDs: ["cli_a"], ttl: .seconds(90), grace: .seconds(90))
            }
            // Postgres itself says that it waits, and for whom.
            #expect(
                try await eventually {
                    try await fixture.pool.rows(
                        """
                        SELECT count(*) FROM pg_stat_activity a
                        WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'
                            AND cardinality(pg_blocking_pids(a.pid)) = 1
                        """) == ["(1)"]
                })
            #expect(
                try await fixture.pool.rows("SELECT lease_generation FROM gateway.installation") == ["(1)"],
                "nothing is taken over while a write is under way")
            try await run("COMMIT")
            #expect(try await taking.value.map(\.lease.generation) == [2])
        }
        #expect(try await fixture.ingest(Fixture.message("om_2")).map(\.verdict) == [.fenced])
    }

    @Test("a batch leaves one window per session, due when its silence has passed")
    func windows() async throws {
        let fixture = try await Fixture()
        let results = try await fixture.ingest(Fixture.message("om_1"), Fixture.message("om_2"))
        #expect(results.map(\.hasOpenWindow) == [true, true])
        #expect(
            try await fixture.pool.rows(
                "SELECT count(*), bool_and(due_at = first_at + interval '3 seconds') FROM gateway.pending_run") == [
                    "(1,t)"
                ])
        // What is read back after a start is the time that is left, by the rule, however slow this machine is.
        func expectDue(_ expected: String) async throws {
            let due = "extract(epoch FROM \(expected) - clock_timestamp()) * 1000"
            let sql =
                "SELECT floor(\(due))::bigint FROM gateway.pending_run p JOIN gateway.chat_session s ON s.id = p.session_id"
            func left() async throws -> Int64 {
                try #require(try await fixture.pool.rows(sql).first.flatMap { Int64($0.dropFirst().dropLast()) })
            }
            let before = try await left()
            let windows = try await fixture.repository.loadWindows(of: [fixture.lease.installation])
            let read = try #require(windows.first?.dueIn.milliseconds)
            #expect(try await left() <= read && read <= before + 1)
        }
        // C18: a message extends the window, also where it is read back.
        try await fixture.pool.run(
            "UPDATE gateway.pending_run SET first_at = now() - interval '2 s', due_at = now() + interval '1 s'")
        try await fixture.ingest(Fixture.message("om_3"))
        try await expectDue("s.last_user_at + interval '3 seconds'")
        // C6: never later than max_wait after the first.
        try await fixture.pool.run("UPDATE gateway.pending_run SET first_at = now() - interval '28 seconds'")
        try await fixture.ingest(Fixture.message("om_4"))
        try await expectDue("p.first_at + interval '30 seconds'")
    }
}
