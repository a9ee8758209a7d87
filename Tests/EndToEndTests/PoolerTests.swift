import AsyncRuntime
import Foundation
import Postgres
import Store
import TestSupport
import Testing

@Suite("Through PgBouncer in transaction mode")
struct PoolerTests {
    @Test("a burst is stored, acked, run and answered; a second replica takes over at once")
    func wholeWay() async throws {
        let stage = try await Stage()
        let pooler = try await TestPooler(to: stage.url)
        let configuration = stage.configuration(extra: ", \"pooler_url\": \"\(pooler.url)\"")
        let daemon = try await stage.start(configuration)
        let worker = try await stage.startWorker()
        for number in 1...20 { await stage.say("m\(number)", in: "oc_\(number)", from: "ou_\(number)") }
        #expect(await stage.sent(20).count == 20)
        let standby = try Daemon.run(configuration)
        #expect(try await standby.logs("lease.held_elsewhere"))
        #expect(await daemon.stop() == 0)
        #expect(try await standby.logs("connection.opened"))
        await stage.say("after")
        #expect(await stage.sent(21).last?.content.contains("after") == true)
        for one in [daemon, standby] {
            #expect(
                !one.output.contains(#""level":"warning""#) && !one.output.contains(#""level":"error""#),
                "\(one.output)")
        }
        // Everything but notifications goes through the pooler's two.
        let sessions = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'lark-gateway' AND query NOT LIKE 'LISTEN %'
            """
        #expect(["(1)", "(2)"].contains(try await stage.rows(sessions).first))
        await pooler.stop()
        await stage.end(daemon, standby, worker)
    }

    @Test("prepared statements are what does not work through it: so they are not used")
    func prepared() async throws {
        let url = try await TestPostgres.makeDatabase()
        let pooler = try await TestPooler(to: url, serverConnections: 1)
        let statement = Statement(name: "one", sql: "SELECT 1 AS one")
        let unprepared = Pool(url: pooler.url, size: 4, applicationName: "tests", preparesStatements: false)
        let many = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    try await unprepared.query(statement, deadline: .after(.seconds(20))).first?.value("one") ?? 0
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(many == 50)
        // A deadline cancels on the server, through the pooler, and its one connection is good again.
        let sleep = Statement(name: "sleep", sql: "SELECT pg_sleep(60)")
        let error = await #expect(throws: PostgresError.self) {
            try await unprepared.query(sleep, deadline: .after(.milliseconds(200)))
        }
        guard case .deadlineExceeded = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(try await unprepared.query(statement, deadline: .after(.seconds(20))).first?.value("one") == 1)
        let first = Pool(url: pooler.url, size: 1, applicationName: "tests")
        let second = Pool(url: pooler.url, size: 1, applicationName: "tests")
        _ = try await first.query(statement, deadline: .after(.seconds(20)))
        await #expect(throws: PostgresError.self) { try await second.query(statement, deadline: .after(.seconds(20))) }
        for pool in [unprepared, first, second] { await pool.close() }
        await pooler.stop()
    }

    /// New sessions on the server may or may not write, and there are no old ones.
    private func setReadOnly(_ isReadOnly: Bool, _ url: String) async throws {
        let admin = Pool(
            url: url + " options='-c default_transaction_read_only=off'", size: 1, applicationName: "tests")
        let name = try await admin.rows("SELECT current_database()")[0].dropFirst().dropLast()
        try await admin.run("ALTER DATABASE \(name) SET default_transaction_read_only = \(isReadOnly)")
        try await admin.run(
            """
            SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
        await admin.close()
    }

    @Test("R2: what PgBouncer says of the server is old; so the server itself is asked whether it can be written")
    func staleParameters() async throws {
        let url = try await TestPostgres.makeDatabase()
        try await setReadOnly(true, url)
        let pooler = try await TestPooler(to: url, serverConnections: 1)
        let pool = Pool(url: pooler.url, size: 1, applicationName: "tests", preparesStatements: false, mustWrite: true)
        let error = await #expect(throws: PostgresError.self) { try await pool.run("SELECT 1") }
        #expect("\(try #require(error))".contains("the server is read only"))
        try await setReadOnly(false, url)
        let isBack = try await eventually {
            (try? await pool.run("CREATE TABLE IF NOT EXISTS public.written (x int)")) != nil
        }
        #expect(isBack)
        await pool.close()
        await pooler.stop()
    }

    @Test("R2: a server behind it that takes no writes is not ready")
    func notReady() async throws {
        let stage = try await Stage()
        let pooler = try await TestPooler(to: stage.url)
        let daemon = try await stage.start(stage.configuration(extra: ", \"pooler_url\": \"\(pooler.url)\""))
        #expect(try await daemon.readiness() == 200)
        try await setReadOnly(true, stage.url)
        // What broke is replaced first.
        #expect(try await daemon.logs("database.unavailable"))
        #expect(try await eventually { daemon.output.contains("25006") })
        #expect(try await daemon.readiness() == 503)
        try await setReadOnly(false, stage.url)
        #expect(try await eventually { try await daemon.readiness() == 200 })
        #expect(await stage.acked(await stage.say("after"), [200]), "\(daemon.output.suffix(3000))")
        await pooler.stop()
        await stage.end(daemon)
    }
}

@Suite("A pooler as the database_url")
struct PoolerAsDatabaseTests {
    private struct Kind: Sendable, CustomStringConvertible {
        let mode: String
        let serverConnections: Int
        var takesTurns = false
        let isFound: Bool

        var description: String { "\(mode), \(serverConnections), \(takesTurns ? "by turns" : "last first")" }
    }

    private static let kinds = [
        Kind(mode: "transaction", serverConnections: 1, isFound: true),
        Kind(mode: "transaction", serverConnections: 6, isFound: true),
        Kind(mode: "transaction", serverConnections: 2, takesTurns: true, isFound: true),
        Kind(mode: "transaction", serverConnections: 6, takesTurns: true, isFound: true),
        Kind(mode: "statement", serverConnections: 2, isFound: true),
        Kind(mode: "statement", serverConnections: 6, takesTurns: true, isFound: true),
        Kind(mode: "session", serverConnections: 20, isFound: false),
        Kind(mode: "session", serverConnections: 20, takesTurns: true, isFound: false),
    ]

    @Test("R7: one that shares sessions is told from one that does not", arguments: kinds)
    private func found(_ kind: Kind) async throws {
        let pooler = try await TestPooler(
            to: try await TestPostgres.makeEmptyDatabase(), mode: kind.mode, serverConnections: kind.serverConnections,
            takesTurns: kind.takesTurns)
        // So that there are sessions to be given out in turns.
        let pool = Pool(url: pooler.url, size: kind.serverConnections, preparesStatements: false)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<kind.serverConnections { group.addTask { try await pool.run("SELECT pg_sleep(0.2)") } }
            try await group.waitForAll()
        }
        await pool.close()
        #expect(
            try await SharedSessions.areFound(behind: pooler.url, deadline: .after(.seconds(20))) == kind.isFound)
        await pooler.stop()
    }

    @Test("a server itself is none; one that is away is an error; where no session is free nothing is said")
    func notFound() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        for _ in 0..<5 {
            #expect(try await !SharedSessions.areFound(behind: url, deadline: .after(.seconds(20))))
        }
        await #expect(throws: PostgresError.self) {
            try await SharedSessions.areFound(behind: "host=127.0.0.1 port=1", deadline: .after(.seconds(20)))
        }
        // The second connection waits for the first one's end.
        let pooler = try await TestPooler(to: url, mode: "session", serverConnections: 1)
        #expect(try await !SharedSessions.areFound(behind: pooler.url, deadline: .after(.milliseconds(500))))
        await pooler.stop()
    }

    @Test("R7: check, run, worker and migrate refuse it with code 78, say what to set, and change nothing")
    func refused() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let pooler = try await TestPooler(to: url)
        let stage = try await Stage(url: pooler.url)
        let files = [
            try Daemon.file(stage.configuration()),
            try Daemon.file(stage.configuration(extra: ", \"pooler_url\": \"\(pooler.url)\"")),
        ]
        for (file, remedy) in zip(files, ["set pooler_url to this URL, and database_url to", "set database_url to"]) {
            for words in [["check"], ["run"], ["migrate"], ["worker", "--runtime", "default"]] {
                let command = words[0] == "worker" ? ["--", "/bin/cat"] : []
                let daemon = try Daemon(words + ["--config", file] + command)
                #expect(await daemon.ended() == 78, "\(words): \(daemon.output)")
                #expect(daemon.output.contains("database_url: found a pooler"), "\(words): \(daemon.output)")
                #expect(daemon.output.contains(remedy + " the server itself"), "\(words): \(daemon.output)")
                #expect(daemon.events("worker.started").isEmpty)
            }
        }
        let server = Pool(url: url, size: 1, applicationName: "tests")
        #expect(try await server.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'gateway'").isEmpty)
        #expect(try await server.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'").isEmpty)
        await server.close()
        await pooler.stop()
        await stage.end()
    }

    @Test("R7: in session mode it is as good as the server")
    func sessionMode() async throws {
        let pooler = try await TestPooler(
            to: try await TestPostgres.makeDatabase(), mode: "session", serverConnections: 40)
        let stage = try await Stage(url: pooler.url)
        let check = try Daemon(["check", "--config", try Daemon.file(stage.configuration())])
        #expect(await check.ended() == 0, "\(check.output)")
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        #expect(await stage.acked(await stage.say("hello"), [200]))
        #expect(await stage.sent(1).count == 1)
        await stage.end(daemon, worker)
        await pooler.stop()
    }

    @Test("a worker that starts before the database waits for it")
    func workerWaits() async throws {
        let server = try await TestPostgres.makeServer()
        let pool = Pool(url: server.url, size: 1, applicationName: "tests")
        _ = try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(60)))
        await pool.close()
        try await server.stop(deadline: .after(.seconds(30)))
        let worker = try Daemon(
            [
                "worker", "--config", try Daemon.file(#"{"database_url": "\#(server.url)"}"#), "--runtime", "default",
                "--", "/bin/cat",
            ])
        #expect(try await worker.logs("database.unavailable"))
        #expect(worker.events("worker.started").isEmpty)
        try await server.start(deadline: .after(.seconds(30)))
        #expect(try await worker.logs("worker.started"))
        #expect(await worker.stop() == 0)
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
    }

    @Test("commands that look and administer work through it: they need no session")
    func administration() async throws {
        let pooler = try await TestPooler(to: try await TestPostgres.makeDatabase(), serverConnections: 1)
        let stage = try await Stage(url: pooler.url)
        let file = try Daemon.file(stage.configuration())
        for words in [["status"], ["member", "list"], ["member", "list"], ["status"]] {
            let command = try Daemon(words + ["--config", file])
            #expect(await command.ended() == 0, "\(words): \(command.output)")
        }
        await pooler.stop()
        await stage.end()
    }
}
