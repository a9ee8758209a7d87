import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// What the server itself says (auto_explain) of every statement on the hot way, inside the functions too, once the
/// tables are filled: how many rows each step looked at.
@Suite("Query plans")
struct QueryPlanTests {
    private static let sessions = 4_000
    private static let batch = 50
    /// A step may look at a few rows for each message of a batch, and at no table.
    private static let mostRows = 12 * batch

    @Test("no hot statement looks at more rows than it was given, when planned on filled tables or on empty ones")
    func plans() async throws {
        let server = try await TestPostgres.makeServer()
        let filling = Pool(url: server.url, size: 1)
        try await GatewaySchema.migrator.apply(to: filling, deadline: .after(.seconds(60)))
        let explain = """
            -c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 \
            -c auto_explain.log_nested_statements=on -c auto_explain.log_analyze=on -c auto_explain.log_timing=off \
            -c auto_explain.log_format=json
            """
        // One connection, so that what it planned on empty tables is what it uses later.
        let explained = Pool(url: server.url + " options='\(explain)'", size: 1)
        let way = HotWay(
            repository: Repository(
                pool: explained, batching: Batching(silenceWindow: .seconds(600), maxWait: .seconds(600))))
        try await way.makeInstallation()
        try await filling.run("ALTER TABLE gateway.agent_task SET (autovacuum_enabled = off)")
        try await way.run("empty")
        try await fill(filling)

        var mark = try log(of: server).count
        try await way.run("planned_on_empty")
        try expectFewRows(try log(of: server).dropFirst(mark))

        try await filling.run("ANALYZE")
        mark = try log(of: server).count
        try await way.run("planned_on_filled")
        try expectFewRows(try log(of: server).dropFirst(mark))
        try expectConfined(try log(of: server).dropFirst(mark))

        // Plans that were made while all that there is stands in the queue, when all of it is history.
        try await filling.run("UPDATE gateway.agent_task SET runtime_id = 'default' WHERE status = 'queued'")
        try await filling.run("DELETE FROM gateway.agent_task WHERE status <> 'queued'")
        try await filling.run("ANALYZE")
        try await way.run("planned_on_a_queue")
        try await filling.run("UPDATE gateway.agent_task SET status = 'completed'")
        mark = try log(of: server).count
        try await way.run("queue_became_history")
        try expectFewRows(try log(of: server).dropFirst(mark))

        await explained.close()
        await filling.close()
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
    }

    private func log(of server: PrivatePostgres) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: server.directory + "/postgres.log"))
    }

    /// A year of a busy team: sessions, messages, finished tasks, sent replies; and a queue, claims and an outbox.
    private func fill(_ pool: Pool) async throws {
        let count = Self.sessions
        for sql in [
            """
            INSERT INTO gateway.chat_session (id, installation_id, last_position, last_user_position, answered_position,
                handed_position, last_user_at)
            SELECT 1000000 + n, 1, 20, 20, 19, 19, now() FROM generate_series(1, \(count)) n
            """,
            """
            INSERT INTO gateway.chat_binding SELECT 1, 'oc_fill_' || n, '', 1000000 + n, 'p2p'
            FROM generate_series(1, \(count)) n
            """,
            """
            INSERT INTO gateway.member (workspace_id, name)
            SELECT 1, 'ou_fill_' || n FROM generate_series(1, \(count)) n
            """,
            """
            INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
            SELECT 1, m.name, 1, m.id FROM gateway.member m WHERE m.name LIKE 'ou_fill_%'
            """,
            """
            INSERT INTO gateway.chat_message (installation_id, session_id, position, role, sender, content, lark_message_id)
            SELECT 1, 1000000 + n, p, 'user', 'ou_fill_' || n, 'text', 'om_fill_' || n || '_' || p
            FROM generate_series(1, \(count)) n, generate_series(1, 20) p
            """,
            """
            INSERT INTO gateway.inbound_dedup (installation_id, lark_message_id)
            SELECT 1, lark_message_id FROM gateway.chat_message WHERE role = 'user' ON CONFLICT DO NOTHING
            """,
            """
            INSERT INTO gateway.pending_run SELECT 1, 1000000 + n, now() + interval '1 hour', now() + interval '1 hour'
            FROM generate_series(1, \(count / 2)) n
            """,
            """
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id, status, handed_position)
            SELECT 1, 1000000 + n, 1, 'other', 'completed', 1 FROM generate_series(1, \(count)) n, generate_series(1, 10)
            """,
            """
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id)
            SELECT 1, 1000000 + n, 1, 'other' FROM generate_series(\(count / 2), \(count)) n
            """,
            """
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id, status, handed_position,
                claim_expires_at, lease)
            SELECT 1, 1000000 + n, 1, 'other', 'claimed', 1, now() + interval '1 hour', '1 hour'
            FROM generate_series(1, \(count / 2)) n
            """,
            """
            INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload, sent_at)
            SELECT 1, 'reply', 'chat_id', 'oc_fill_' || n, '{}', now() FROM generate_series(1, \(5 * count)) n
            """,
            """
            INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
            SELECT 1, 'reply', 'chat_id', 'oc_wait_' || n % \(count / 4), '{}' FROM generate_series(1, \(count)) n
            """,
            """
            INSERT INTO gateway.agent (workspace_id, name, runtime_id)
            SELECT 1, 'agent_fill_' || n, 'other' FROM generate_series(1, \(count)) n
            """,
            "INSERT INTO gateway.workspace (name) SELECT 'fill_' || n FROM generate_series(1, \(count)) n",
            """
            INSERT INTO gateway.installation (app_id, workspace_id, agent_id, domain, locale, access)
            SELECT 'cli_fill_' || n, 1, 1, 'feishu', 'en', 'open' FROM generate_series(1, \(count)) n
            """,
        ] { try await pool.run(sql) }
    }

    private func expectFewRows(_ log: Data.SubSequence) throws {
        let statements = try Explained.statements(in: String(decoding: log, as: UTF8.self))
        let names = Set(statements.flatMap { $0.steps.map(\.relation) })
        for table in ["chat_session", "chat_message", "inbound_dedup", "pending_run", "agent_task", "outbox"] {
            #expect(names.contains(table), "the hot way touches \(table)")
        }
        // Each once, however often it ran.
        var found: [String: Int] = [:]
        for statement in statements {
            for step in statement.steps where step.relation != "" && step.rows > Self.mostRows {
                let words = "\(step.kind) on \(step.relation), in: \(statement.text)"
                found[words] = max(found[words] ?? 0, step.rows)
            }
        }
        for (words, rows) in found { Issue.record("looked at \(rows) rows: \(words)") }
    }

    /// What it takes to spread the tables by installation: no step on a hot table looks beyond the installations that
    /// its statement is about. Three look further, by an index: a worker's call finds its task by id, claims that ran
    /// out are looked for everywhere, and so is a task by a worker that names no installation.
    private func expectConfined(_ log: Data.SubSequence) throws {
        let hot = [
            "member_binding", "chat_session", "chat_binding", "chat_message", "inbound_dedup", "pending_run",
            "agent_task", "outbox",
        ]
        var found: Set<String> = []
        var named = 0
        for statement in try Explained.statements(in: String(decoding: log, as: UTF8.self)) {
            let namesInstallation = statement.query.contains("t.installation_id = claim_task.installation")
            for step in statement.steps where hot.contains(step.relation) && step.kind.hasSuffix("Scan") {
                if step.condition.contains("installation_id") {
                    if namesInstallation, step.relation == "agent_task" { named += 1 }
                    continue
                }
                let isKnown =
                    step.relation == "agent_task" && !namesInstallation
                    && ["(id = ", "(claim_expires_at < ", "(runtime_id = "].contains(where: step.condition.hasPrefix)
                if !isKnown {
                    found.insert("\(step.kind) on \(step.relation) by \(step.condition): \(statement.query)")
                }
            }
        }
        for words in found.sorted() { Issue.record("not confined to an installation: \(words)") }
        #expect(named > 0, "a claim that names its installation was planned")
    }
}

/// Every statement that a message, its run and its reply cause, and those that are repeated every few seconds.
private struct HotWay {
    let repository: Repository

    private static let lease = Lease(installation: InstallationID(rawValue: 1), generation: 1)

    func makeInstallation() async throws {
        try await repository.applyAgent(workspace: "acme", name: "support", runtime: "default")
        _ = try await repository.applyInstallation(
            InstallationSettings(
                appID: "cli_a", appSecret: "s", domain: URL(fileURLWithPath: "/"), workspace: "acme",
                agent: "support", access: .open, locale: .en))
        _ = try await repository.takeLeases(
            holder: "test", deadHolders: [], appIDs: ["cli_a"], ttl: .seconds(3600), grace: .zero)
    }

    func run(_ label: String) async throws {
        let messages = (0..<50).map { Fixture.message("om_\(label)_\($0)", chat: "oc_\($0)", sender: "ou_\($0)") }
        let rows = messages.map { IngestRow(lease: Self.lease, message: $0) }
        // Twice: new ones, then replays; then more for the same chats, whose senders and sessions are known by now.
        _ = try await repository.ingest(rows, deadline: .after(.seconds(20)))
        let replayed = try await repository.ingest(rows, deadline: .after(.seconds(20)))
        #expect(replayed.allSatisfy { $0.verdict == .duplicate })
        let more = rows.map { row in
            var row = row
            row.message.messageID += "_more"
            return row
        }
        let stored = try await repository.ingest(more, deadline: .after(.seconds(20)))
        let sessions = stored.compactMap(\.session)
        #expect(sessions.count == rows.count)
        _ = try await repository.loadWindows(of: [Self.lease.installation], overdueOnly: true)
        let windows = sessions.map { ($0, Self.lease) }
        let early = try await repository.flush(windows, force: false, deadline: .after(.seconds(20)))
        #expect(early.values.allSatisfy { if case .notDue = $0 { true } else { false } })
        _ = try await repository.flush(windows, force: true, deadline: .after(.seconds(20)))
        // One by a worker of this installation alone.
        let claim = "SELECT task_id FROM gateway.claim_task('default', 'w', '60 s', 1)"
        let own: Int64 = try #require(
            try await repository.pool.query(Statement(name: "claim", sql: claim), deadline: .after(.seconds(20))).first?
                .value("task_id"))
        try await repository.completeTask(own, worker: "w", reply: "yes")
        for _ in sessions.dropFirst() {
            let task = try #require(
                try await repository.claimTask(runtime: "default", worker: "w", lease: .seconds(60)))
            try await repository.extendTask(task.id, worker: "w")
            try await repository.completeTask(task.id, worker: "w", reply: "yes")
        }
        try await command(label)
        #expect(try await repository.expireClaims() == 0)
        for row in try await repository.takeOutbox(holder: "test", limit: 100, visibility: .seconds(60)) {
            try await repository.settle(row, .sent(larkMessageID: "om_reply"))
        }
        _ = try await repository.holdLeases(holder: "test", ttl: .seconds(3600), within: .seconds(10))
    }

    /// Commands, and a claim that ends where a context does.
    private func command(_ label: String) async throws {
        let texts = ["/issue it does not work", "/issue", "/status", "/new", "one", "/new two"]
        let rows = texts.enumerated().map { index, text in
            let chat = min(index, 4)
            return IngestRow(
                lease: Self.lease,
                message: Fixture.message("om_\(label)_c\(index)", text, chat: "oc_\(chat)", sender: "ou_\(chat)"))
        }
        let stored = try await repository.ingest(rows, deadline: .after(.seconds(20)))
        #expect(stored.prefix(4).allSatisfy { !$0.hasOpenWindow })
        let session = try #require(stored.last?.session)
        _ = try await repository.flush([(session, Self.lease)], force: true, deadline: .after(.seconds(20)))
        for _ in 0..<2 {
            let task = try #require(
                try await repository.claimTask(runtime: "default", worker: "w", lease: .seconds(60)))
            try await repository.completeTask(task.id, worker: "w", reply: "yes")
        }
    }
}

/// A statement as auto_explain logged it.
private struct Explained {
    struct Step {
        let kind: String
        /// Of tables and their indexes; empty for other steps.
        let relation: String
        /// All that it looked at, over all its loops.
        let rows: Int
        /// How it finds its rows; empty for a scan of all of them.
        let condition: String
    }

    let query: String
    var text: String { String(query.prefix(300)) }
    let steps: [Step]

    static func statements(in log: String) throws -> [Explained] {
        try log.components(separatedBy: " ms  plan:\n").dropFirst().map { entry in
            // The lines of an entry begin with a tab.
            let lines = entry.split(separator: "\n").prefix { $0.hasPrefix("\t") }.map { $0.dropFirst() }
            let json = try #require(JSONValue(parsing: lines.joined(separator: "\n")), "\(lines.prefix(3))")
            var steps: [Step] = []
            collect(json["Plan"], into: &steps)
            return Explained(query: json["Query Text"].string ?? "", steps: steps)
        }
    }

    private static func collect(_ plan: JSONValue, into steps: inout [Step]) {
        let seen = [
            "Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter",
        ]
        let rows = seen.compactMap { plan[$0].integer }.reduce(0, +) * (plan["Actual Loops"].integer ?? 1)
        let condition = ["Index Cond", "Recheck Cond", "Filter"].compactMap { plan[$0].string }.joined(
            separator: " AND ")
        steps.append(
            Step(
                kind: plan["Node Type"].string ?? "", relation: plan["Relation Name"].string ?? "", rows: rows,
                condition: condition))
        for child in plan["Plans"].array { collect(child, into: &steps) }
    }
}
