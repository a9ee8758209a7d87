import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("Windows become tasks, tasks become answers")
struct TaskTests {
    @Test("C1, C7: a closed window is one queued task, whether a worker is there or not")
    func queued() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        // However slow this machine is.
        try await fixture.pool.run("UPDATE gateway.pending_run SET due_at = now() + interval '1 hour'")
        guard case .notDue = try await fixture.flush(session, force: false) else {
            return #expect(Bool(false), "a window closed before its time")
        }
        guard case .queued(let id) = try await fixture.flush(session) else { return #expect(Bool(false)) }
        #expect(id != nil)
        #expect(try await fixture.pool.rows("SELECT status, attempt FROM gateway.agent_task") == ["(queued,1)"])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.pending_run") == ["(0)"])
        #expect(try await fixture.flush(session) == .gone)
    }

    @Test("progress is shown for a claim that is held, once a second at most; a card that failed for good is let be")
    func progress() async throws {
        let fixture = try await Fixture()
        let repository = fixture.repository
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", type: .group))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        await #expect(throws: PostgresError.self) {
            try await repository.reportProgress(task.id, worker: "somebody", text: "x")
        }
        try await repository.reportProgress(task.id, worker: "w1", text: " one ")
        try await repository.reportProgress(task.id, worker: "w1", text: "two")
        try await repository.reportProgress(task.id, worker: "w1", text: " ")
        #expect(try await repository.takeProgress(holder: "other", limit: 10).isEmpty)
        let row = try #require(try await repository.takeProgress(holder: "test", limit: 10).first)
        #expect(row.text == "two")
        #expect(row.receiver == .message("om_1", inThread: false))
        try await repository.settle(row, messageID: "om_card")
        try await repository.reportProgress(task.id, worker: "w1", text: "three")
        #expect(try await repository.takeProgress(holder: "test", limit: 10).isEmpty, "within the second")
        try await fixture.pool.run("UPDATE gateway.progress SET next_attempt_at = now()")
        let next = try #require(try await repository.takeProgress(holder: "test", limit: 10).first)
        #expect(next.messageID == "om_card")
        try await repository.postpone(next, for: nil)
        try await repository.reportProgress(task.id, worker: "w1", text: "four")
        #expect(try await repository.takeProgress(holder: "test", limit: 10).isEmpty)
        try await repository.completeTask(task.id, worker: "w1", reply: "yes")
        _ = try await repository.takeProgress(holder: "test", limit: 10)
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.progress") == ["(0)"])
    }

    @Test("I5, C4: a message that arrives while a task is queued is covered by it")
    func coveredByQueued() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "one"))[0].session)
        try await fixture.flush(session)
        let second = try await fixture.ingest(Fixture.message("om_2", "two"))
        #expect(second[0].hasOpenWindow == false)
        #expect(fixture.contents(try await fixture.claim()) == ["one", "two"])
        #expect(try await fixture.claim() == nil)
    }

    @Test("C21, C22, I10: a message during a run makes a second task with just that message; none starts meanwhile")
    func secondTask() async throws {
        let fixture = try await Fixture()
        let session = try #require(
            try await fixture.ingest(
                Fixture.message("om_1", "weather in Shanghai"), Fixture.message("om_2", "and Qingdao"))[0]
                .session)
        try await fixture.flush(session)
        let first = try #require(try await fixture.claim())
        #expect(fixture.contents(first) == ["weather in Shanghai", "and Qingdao"])
        #expect(try await fixture.ingest(Fixture.message("om_3", "and Xi'an"))[0].hasOpenWindow)
        try await fixture.flush(session)
        #expect(try await fixture.claim(worker: "w2") == nil, "one claimed task per session")
        try await fixture.repository.completeTask(first.id, worker: "w1", reply: "sunny")
        let second = try #require(try await fixture.claim(worker: "w2"))
        #expect(fixture.contents(second) == ["and Xi'an"])
        try await fixture.repository.completeTask(second.id, worker: "w2", reply: "dry")
        #expect(
            try await fixture.pool.rows("SELECT position, role, content FROM gateway.chat_message ORDER BY position")
                == [
                    #"(1,user,"weather in Shanghai")"#, #"(2,user,"and Qingdao")"#, #"(3,user,"and Xi'an")"#,
                    "(4,assistant,sunny)", "(5,assistant,dry)",
                ])
        #expect(
            try await fixture.pool.rows("SELECT kind, receive_id, payload FROM gateway.outbox ORDER BY seq")
                == [#"(reply,oc_1,"{""text"": ""sunny""}")"#, #"(reply,oc_1,"{""text"": ""dry""}")"#])
    }

    @Test("I5: a window whose messages were all handed out already makes no task")
    func emptyWindow() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        _ = try await fixture.claim(lease: .zero)
        #expect(try await fixture.ingest(Fixture.message("om_2"))[0].hasOpenWindow)
        // The claim ran out; the next one covers the new message too.
        let again = try #require(try await fixture.claim(worker: "w2"))
        #expect(again.attempt == 2)
        #expect(fixture.contents(again).count == 2)
        #expect(try await fixture.flush(session) == .empty)
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.agent_task") == ["(1)"])
    }

    @Test("C8: an agent without a runtime makes no task but one notice; its messages are answered when a runtime comes")
    func offline() async throws {
        let fixture = try await Fixture()
        try await fixture.repository.applyAgent(workspace: "acme", name: "support", runtime: nil)
        let session = try #require(
            try await fixture.ingest(Fixture.message("om_1", "one"), Fixture.message("om_2", "two"))[0].session)
        #expect(try await fixture.flush(session) == .agentOffline)
        #expect(
            try await fixture.pool.rows(
                "SELECT kind, receive_id, payload->>'notice', payload->>'agent' FROM gateway.outbox")
                == ["(notice,oc_1,agent_offline,support)"])
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.agent_task") == ["(0)"])
        try await fixture.repository.applyAgent(workspace: "acme", name: "support", runtime: "default")
        guard case .queued = try await fixture.flush(session, force: false) else { return #expect(Bool(false)) }
        #expect(fixture.contents(try await fixture.claim()) == ["one", "two"])
    }

    @Test("C9, C10: archived has its own notice, and wins over offline")
    func archived() async throws {
        let fixture = try await Fixture()
        try await fixture.pool.run("UPDATE gateway.agent SET archived_at = now(), runtime_id = NULL")
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        #expect(try await fixture.flush(session) == .agentArchived)
    }

    @Test("an agent that goes away takes its queued tasks back, and the chats are told")
    func goesAway() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        try await fixture.pool.run("UPDATE gateway.agent SET archived_at = now()")
        #expect(try await fixture.pool.rows("SELECT status FROM gateway.agent_task") == ["(cancelled)"])
        #expect(try await fixture.flush(session, force: false) == .agentArchived)
    }

    @Test("C24: archiving cancels the run under way: its reply is refused, and the chat gets one notice")
    func archivedMeanwhile() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        try await fixture.ingest(Fixture.message("om_2"))
        try await fixture.flush(session)
        try await fixture.pool.run("UPDATE gateway.agent SET archived_at = now()")
        await #expect(throws: PostgresError.self) {
            try await fixture.repository.completeTask(task.id, worker: "w1", reply: "late")
        }
        #expect(try await fixture.flush(session, force: false) == .agentArchived)
        #expect(try await fixture.flush(session, force: false) == .gone)
        #expect(try await fixture.pool.rows("SELECT payload->>'notice' FROM gateway.outbox") == ["(agent_archived)"])
        #expect(
            try await fixture.pool.rows("SELECT status FROM gateway.agent_task ORDER BY id")
                == ["(cancelled)", "(cancelled)"])
        // Back again, it answers what was not answered.
        try await fixture.pool.run("UPDATE gateway.agent SET archived_at = NULL")
        try await fixture.flush(session)
        #expect(fixture.contents(try await fixture.claim()).count == 2)
    }

    @Test("an agent without a runtime keeps the run under way: its worker may still answer")
    func offlineMeanwhile() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        try await fixture.pool.run("UPDATE gateway.agent SET runtime_id = NULL")
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "done")
        #expect(try await fixture.pool.rows("SELECT kind FROM gateway.outbox") == ["(reply)"])
    }

    @Test("C17: a flush that takes too long is given up, and makes nothing")
    func slowFlush() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        let leases = LeaseTable()
        leases.insert(fixture.lease)
        var enqueuer = TaskEnqueuer(
            repository: fixture.repository, leases: leases, outboxHasWork: Doorbell(), logger: LogRecorder().logger,
            metrics: Metrics(), patience: .milliseconds(200))
        try await fixture.pool.withConnection(deadline: .after(.seconds(20))) { [enqueuer] connection in
            for sql in ["BEGIN", "SELECT FROM gateway.chat_session FOR UPDATE"] {
                try await connection.query(
                    Statement(name: "raw", sql: sql, isPrepared: false), deadline: .after(.seconds(20)))
            }
            let error = await #expect(throws: PostgresError.self) { try await enqueuer.flush([session], force: true) }
            if case .deadlineExceeded? = error {} else { #expect(Bool(false), "\(String(describing: error))") }
            try await connection.query(
                Statement(name: "raw", sql: "COMMIT", isPrepared: false), deadline: .after(.seconds(20)))
        }
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.pending_run") == ["(1)"])
        enqueuer.patience = .seconds(20)
        guard case .queued = try await enqueuer.flush([session], force: true)[session] else {
            return #expect(Bool(false))
        }
    }

    @Test("C20: the notice of a topic answers its latest message there")
    func noticeInTopic() async throws {
        let fixture = try await Fixture()
        try await fixture.repository.applyAgent(workspace: "acme", name: "support", runtime: nil)
        let session = try #require(
            try await fixture.ingest(
                Fixture.message("om_1", chat: "oc_g", thread: "omt_1", type: .group),
                Fixture.message("om_2", chat: "oc_g", thread: "omt_1", type: .group))[0].session)
        try await fixture.flush(session)
        #expect(
            try await fixture.pool.rows("SELECT reply_to, in_thread, receive_id FROM gateway.outbox") == [
                "(om_2,t,oc_g)"
            ])
    }

    @Test("C23: a failed run tells the chat, and the next run gets its messages again")
    func failed() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "one"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        try await fixture.repository.failTask(task.id, worker: "w1", error: String(repeating: "x", count: 1000))
        #expect(
            try await fixture.pool.rows("SELECT payload->>'notice', length(payload->>'reason') FROM gateway.outbox")
                == ["(run_failed,300)"])
        try await fixture.ingest(Fixture.message("om_2", "two"))
        try await fixture.flush(session)
        #expect(fixture.contents(try await fixture.claim()) == ["one", "two"])
    }

    @Test("C25: an empty reply sends nothing, and answers")
    func emptyReply() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: " \n")
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox") == ["(0)"])
        try await fixture.ingest(Fixture.message("om_2", "two"))
        try await fixture.flush(session)
        #expect(fixture.contents(try await fixture.claim()) == ["two"])
    }

    @Test("C26: a second completion, and one after the claim went to another, are refused; nothing is sent twice")
    func refusedCompletions() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim(lease: .zero))
        let again = try #require(try await fixture.claim(worker: "w2"))
        #expect(again.id == task.id)
        for call in [
            { try await fixture.repository.completeTask(task.id, worker: "w1", reply: "late") },
            { try await fixture.repository.extendTask(task.id, worker: "w1") },
            { try await fixture.repository.failTask(task.id, worker: "w1", error: "late") },
        ] as [@Sendable () async throws -> Void] {
            let error = await #expect(throws: PostgresError.self) { try await call() }
            guard case .statement(let refusal)? = error else { return #expect(Bool(false)) }
            #expect(refusal.sqlState == Repository.lostClaim)
        }
        try await fixture.repository.extendTask(task.id, worker: "w2")
        try await fixture.repository.completeTask(task.id, worker: "w2", reply: "once")
        await #expect(throws: PostgresError.self) {
            try await fixture.repository.completeTask(task.id, worker: "w2", reply: "twice")
        }
        #expect(try await fixture.pool.rows("SELECT payload->>'text' FROM gateway.outbox") == ["(once)"])
    }

    @Test("a claim whose answer got lost is given back when its worker says so, and counts as no attempt")
    func lostAnswers() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        try await fixture.repository.returnClaims(worker: "w2")
        #expect(try await fixture.claim(worker: "w2") == nil)
        for _ in 0..<7 {
            try await fixture.repository.returnClaims(worker: "w1")
            #expect(try await fixture.claim() == task)
        }
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "once")
        #expect(try await fixture.pool.rows("SELECT payload->>'text' FROM gateway.outbox") == ["(once)"])
    }

    @Test("I10: a worker that dies gives its task back; after the fifth attempt it fails, and the chat is told")
    func attempts() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        for attempt in 1...5 {
            #expect(try await fixture.claim(lease: .zero)?.attempt == attempt)
        }
        #expect(try await fixture.claim() == nil)
        #expect(try await fixture.pool.rows("SELECT status, attempt FROM gateway.agent_task") == ["(failed,5)"])
        #expect(try await fixture.pool.rows("SELECT payload->>'notice' FROM gateway.outbox") == ["(run_failed)"])
    }

    @Test("a task that was queued behind a claim that ran out gives way to it: its messages are in it")
    func expiredBehindQueued() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "one"))[0].session)
        try await fixture.flush(session)
        let first = try #require(try await fixture.claim(lease: .zero))
        try await fixture.ingest(Fixture.message("om_2", "two"))
        try await fixture.flush(session)
        let again = try #require(try await fixture.claim(worker: "w2"))
        #expect(again.id == first.id)
        #expect(fixture.contents(again) == ["one", "two"])
        #expect(
            try await fixture.pool.rows("SELECT status FROM gateway.agent_task ORDER BY id") == [
                "(claimed)", "(cancelled)",
            ])
    }

    @Test("K2: what failed before a /new is set aside, so the fresh question is answered, and no failure queues a run")
    func failedBeforeNew() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "poison"))[0].session)
        try await fixture.flush(session)
        let poison = try #require(try await fixture.claim())
        try await fixture.repository.failTask(poison.id, worker: "w1", error: "broken")
        #expect(try await fixture.claim() == nil, "a failed task queues no other")
        try await fixture.ingest(Fixture.message("om_2", "/new"), Fixture.message("om_3", "fresh"))
        try await fixture.flush(session)
        let fresh = try #require(try await fixture.claim())
        #expect(fixture.contents(fresh) == ["fresh"])
        try await fixture.repository.completeTask(fresh.id, worker: "w1", reply: "yes")
        #expect(try await fixture.claim() == nil)
    }

    @Test(
        "K2: a run that fails after a /new is not tried again; what was never tried is, and the fresh question after it"
    )
    func failsAfterNew() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "poison"))[0].session)
        try await fixture.flush(session)
        let poison = try #require(try await fixture.claim())
        try await fixture.ingest(
            Fixture.message("om_2", "never tried"), Fixture.message("om_3", "/new"), Fixture.message("om_4", "fresh"))
        try await fixture.flush(session)
        try await fixture.repository.failTask(poison.id, worker: "w1", error: "broken")
        var runs: [[String]] = []
        while let task = try await fixture.claim(), runs.count < 9 {
            runs.append(fixture.contents(task))
            try await fixture.repository.failTask(task.id, worker: "w1", error: "broken")
        }
        #expect(runs == [["never tried"], ["fresh"]], "each is tried once, and the failures queue nothing more")
        #expect(
            try await fixture.pool.rows(
                "SELECT payload ->> 'is_set_aside' FROM gateway.outbox WHERE payload ->> 'notice' = 'run_failed' ORDER BY seq"
            ) == ["(true)", "(true)", "(false)"])
    }

    @Test("K2: what a run before a /new was not given waits for it, and is told when the agent went offline meanwhile")
    func restWhileOffline() async throws {
        let fixture = try await Fixture()
        let session = try #require(
            try await fixture.ingest(
                Fixture.message("om_1", "old"), Fixture.message("om_2", "/new"), Fixture.message("om_3", "fresh"))[0]
                .session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        #expect(fixture.contents(task) == ["old"])
        try await fixture.pool.run("UPDATE gateway.agent SET runtime_id = NULL")
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "")
        #expect(try await fixture.flush(session, force: false) == .agentOffline)
    }

    @Test(
        "S3: of a chat with more than one run can take, a run gets the newest messages, and is told how many it does not"
    )
    func boundedRuns() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", "first"))[0].session)
        // More than Postgres's own bound for one jsonb, 256 MiB.
        try await fixture.pool.run(
            """
            INSERT INTO gateway.chat_message (installation_id, session_id, position, role, sender, content,
                lark_message_id, created_at)
            SELECT $1, $2, n, 'user', 'ou_1', repeat('x', 148000), 'om_x' || n, now() FROM generate_series(2, 1900) n
            """, [.int(session.installation.rawValue), .int(session.session)])
        try await fixture.pool.run("UPDATE gateway.chat_session SET last_position = 1900, last_user_position = 1900")
        try await fixture.ingest(Fixture.message("om_3", "what of that?"))
        try await fixture.flush(session)
        let other = try #require(try await fixture.ingest(Fixture.message("om_2", "other", chat: "oc_2"))[0].session)
        try await fixture.flush(other)
        let task = try #require(try await fixture.claim())
        let messages = JSONValue(parsing: task.messages)?.array ?? []
        #expect(messages.map { $0["position"].integer } == [1900, 1901])
        #expect(messages.map { $0["omitted_before"].integer } == [1899, nil])
        #expect(messages.last?["content"].string == "what of that?")
        #expect(fixture.contents(try await fixture.claim(worker: "w2")) == ["other"])
        // What was left out is answered with the others.
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "read")
        #expect(try await fixture.claim() == nil)
        #expect(
            try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_message WHERE role = 'user'") == ["(1902)"])
    }

    @Test("S3: of many small messages a run gets the newest 200, and one that is larger than a run's bound by itself")
    func boundedCount() async throws {
        let fixture = try await Fixture()
        func fill(_ chat: String, _ count: Int, content: String) async throws -> ClaimedTask {
            let session = try #require(
                try await fixture.ingest(Fixture.message("om_" + chat, "first", chat: chat))[0].session)
            try await fixture.pool.run(
                """
                INSERT INTO gateway.chat_message (installation_id, session_id, position, role, sender, content,
                    lark_message_id, created_at)
                SELECT $1, $2, n, 'user', 'ou_1', \(content), $3 || n, now() FROM generate_series(2, $4) n
                """,
                [
                    .int(session.installation.rawValue), .int(session.session), .text("om_x" + chat),
                    .int(Int64(count)),
                ])
            try await fixture.pool.run(
                "UPDATE gateway.chat_session SET last_position = $2, last_user_position = $2 WHERE id = $1",
                [.int(session.session), .int(Int64(count))])
            try await fixture.flush(session)
            return try #require(try await fixture.claim(worker: WorkerIdentity(name: chat)))
        }
        for (chat, count, content, handed, omitted) in [
            ("oc_200", 200, "'m'", 200, nil), ("oc_201", 201, "'m'", 200, 1), ("oc_999", 999, "'m'", 200, 799),
            ("oc_large", 3, "repeat('x', 5000000)", 1, 2), ("oc_two", 2, "repeat('x', 262000)", 2, nil),
        ] as [(String, Int, String, Int, Int?)] {
            let task = try await fill(chat, count, content: content)
            let messages = JSONValue(parsing: task.messages)?.array ?? []
            #expect(messages.count == handed, "\(chat)")
            #expect(messages.first?["omitted_before"].integer == omitted, "\(chat)")
            #expect(messages.last?["position"].integer == count, "\(chat)")
        }
    }

    @Test("S3: what a /new sets apart is counted by itself: a run is told of its own context alone")
    func boundedContext() async throws {
        let fixture = try await Fixture()
        for number in 0..<202 { try await fixture.ingest(Fixture.message("om_a\(number)", "a\(number)")) }
        try await fixture.ingest(Fixture.message("om_new", "/new b"))
        let session = try #require(try await fixture.ingest(Fixture.message("om_c", "c"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        #expect(fixture.contents(task).last == "a201")
        #expect(JSONValue(parsing: task.messages)?.array.first?["omitted_before"].integer == 2)
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "")
        #expect(fixture.contents(try await fixture.claim()) == ["b", "c"])
    }

    @Test("S3: a task that can't be claimed fails by itself: its chat is told, and the others are claimed")
    func unclaimable() async throws {
        let fixture = try await Fixture()
        let bad = try #require(try await fixture.ingest(Fixture.message("om_1", "bad"))[0].session)
        try await fixture.flush(bad)
        let good = try #require(try await fixture.ingest(Fixture.message("om_2", "good", chat: "oc_2"))[0].session)
        try await fixture.flush(good)
        for sql in [
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'too large' USING ERRCODE = '54000'; END $$
            """,
            """
            CREATE TRIGGER refuse BEFORE UPDATE ON gateway.agent_task
            FOR EACH ROW WHEN (NEW.status = 'claimed' AND NEW.session_id = \(bad.session)) EXECUTE FUNCTION refuse()
            """,
        ] { try await fixture.pool.run(sql) }
        #expect(fixture.contents(try await fixture.claim()) == ["good"])
        #expect(
            try await fixture.pool.rows("SELECT status, error FROM gateway.agent_task ORDER BY id") == [
                #"(failed,"its messages could not be read (SQLSTATE 54000)")"#, "(claimed,)",
            ])
        #expect(
            try await fixture.pool.rows("SELECT receive_id, payload ->> 'notice' FROM gateway.outbox")
                == ["(oc_1,run_failed)"])
    }

    @Test("S3: a worker that asks with a lease of over a day, or of less than nothing, is refused, and fails no task")
    func impossibleLease() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        for lease in ["'300000 years'", "'25 hours'", "'-1 s'", "NULL"] {
            await #expect(throws: PostgresError.self) {
                try await fixture.pool.run("SELECT gateway.claim_task('default', 'w1', \(lease)::interval)")
            }
        }
        #expect(try await fixture.pool.rows("SELECT status FROM gateway.agent_task") == ["(queued)"])
    }

    @Test("the oldest task of the asked runtime is claimed, and of the asked installation alone")
    func whoseTask() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b"])
        let other = Lease(
            installation: InstallationID(rawValue: fixture.lease.installation.rawValue + 1), generation: 1)
        let a = try #require(try await fixture.ingest(Fixture.message("om_1", "a"))[0].session)
        let b = try #require(
            try await fixture.ingest(Fixture.message("om_2", "b", app: "cli_b"), lease: other)[0].session)
        _ = try await fixture.repository.flush(
            [(a, fixture.lease), (b, other)], force: true, deadline: .after(.seconds(5)))
        #expect(try await fixture.repository.claimTask(runtime: "elsewhere", worker: "w", lease: .seconds(9)) == nil)
        #expect(
            try await fixture.pool.rows(
                "SELECT messages->0->>'content' FROM gateway.claim_task('default', 'w', '60s', \(other.installation.rawValue))"
            )
                == ["(b)"])
        #expect(fixture.contents(try await fixture.claim()) == ["a"])
    }

    @Test("the reply in a group answers the message that triggered it; in a topic, in its thread")
    func replyTarget() async throws {
        let fixture = try await Fixture()
        for (thread, id) in [("", "om_g"), ("omt_1", "om_t")] {
            let session = try #require(
                try await fixture.ingest(Fixture.message(id, chat: "oc_g", thread: thread, type: .group))[0].session)
            try await fixture.flush(session)
            let task = try #require(try await fixture.claim())
            try await fixture.repository.completeTask(task.id, worker: "w1", reply: "ok")
        }
        #expect(
            try await fixture.pool.rows("SELECT reply_to, in_thread FROM gateway.outbox ORDER BY seq")
                == ["(om_g,f)", "(om_t,t)"])
    }
}
