import AsyncRuntime
import Foundation
import Postgres
import TestSupport
import Testing

@Suite("A connection to Postgres")
struct ConnectionTests {
    private func connect() async throws -> Connection {
        try await Connection.connect(
            to: try await TestPostgres.makeEmptyDatabase(), applicationName: "tests", deadline: .after(.seconds(20)))
    }

    private func statement(_ sql: String) -> Statement { Statement(name: "s\(sql.hashValue)", sql: sql) }

    @Test("every type of parameter comes back as it was sent, NULL too")
    func roundTrip() async throws {
        let connection = try await connect()
        let id = UUID()
        let rows = try await connection.query(
            statement(
                """
                SELECT $1::text AS t, $2::bigint AS i, $3::boolean AS b, $4::bytea AS y, $5::uuid AS u, $6::jsonb AS j,
                    (extract(epoch FROM $7::interval) * 1000)::bigint AS d, $8::text[] AS ta, cardinality($9::bigint[]) AS n,
                    $10::text AS missing, ($8::text[])[2] IS NULL AS hole, ($9::bigint[])[1] AS first,
                    cardinality($11::text[]) AS none
                """),
            [
                .text("ünï\u{1F600}"), .int(-5), .bool(true), .bytes([0, 255]), .uuid(id), .jsonb(#"{"a": 1}"#),
                .interval(.milliseconds(1_500)), .textArray(["a", nil, ""]), .intArray([Int64.min, 2]), .text(nil),
                .textArray([]),
            ], deadline: .after(.seconds(5)))
        let row = try #require(rows.first)
        #expect(try row.value("t", as: String.self) == "ünï\u{1F600}")
        #expect(try row.value("i", as: Int64.self) == -5)
        #expect(try row.value("b", as: Bool.self))
        #expect(try row.value("u", as: UUID.self) == id)
        #expect(try row.value("j", as: String.self) == #"{"a": 1}"#)
        #expect(try row.value("d", as: Int.self) == 1_500)
        #expect(try row.value("n", as: Int.self) == 2)
        #expect(try row.value("first", as: Int64.self) == Int64.min)
        #expect(try row.value("hole", as: Bool.self))
        #expect(try row.value("none", as: Int.self) == 0)
        #expect(try row.optional("missing", as: String.self) == nil)
        #expect(throws: PostgresError.self) { try row.value("missing", as: String.self) }
        #expect(throws: PostgresError.self) { try row.value("t", as: Int.self) }
        #expect(throws: PostgresError.self) { try row.value("nowhere", as: Int.self) }
        await connection.close()
    }

    @Test("a refused statement says its SQLSTATE, and the connection goes on")
    func refused() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(statement("SELECT 'secret'::int"), deadline: .after(.seconds(5)))
        }
        guard case .statement(let refusal) = try #require(error) else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(refusal.sqlState == "22P02")
        #expect(refusal.blamesTheRow)
        #expect(!refusal.description.contains("secret"), "a data error's message can quote a message body")
        #expect(try await connection.query(statement("SELECT 1 AS one"), deadline: .after(.seconds(5))).count == 1)
        await connection.close()
    }

    @Test("a statement that outlives its deadline is cancelled on the server, and the connection goes on")
    func deadline() async throws {
        let connection = try await connect()
        await #expect(throws: PostgresError.self) {
            try await connection.query(statement("SELECT pg_sleep(60)"), deadline: .after(.milliseconds(100)))
        }
        #expect(try await connection.query(statement("SELECT 1 AS one"), deadline: .after(.seconds(5))).count == 1)
        await connection.close()
    }

    @Test("cancelling the task cancels the statement")
    func cancellation() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let connection = try await Connection.connect(
            to: url, applicationName: "tests", deadline: .after(.seconds(20)))
        let task = Task { try await connection.query(statement("SELECT pg_sleep(60)"), deadline: .after(.seconds(60))) }
        #expect(try await sleeps(in: url))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await connection.query(statement("SELECT 1 AS one"), deadline: .after(.seconds(5))).count == 1)
        await connection.close()
    }

    @Test("a value of several megabytes goes both ways")
    func large() async throws {
        let connection = try await connect()
        let text = String(repeating: "ä0123456789", count: 600_000)
        let rows = try await connection.query(
            statement("SELECT $1::text AS t"), [.text(text)], deadline: .after(.seconds(20)))
        #expect(try rows[0].value("t", as: String.self).utf8.count == text.utf8.count)
        await connection.close()
    }

    @Test("an unreachable server is an error that says why")
    func unreachable() async throws {
        let error = await #expect(throws: PostgresError.self) {
            try await Connection.connect(
                to: "host=127.0.0.1 port=1 dbname=x", applicationName: "tests", deadline: .after(.seconds(5)))
        }
        #expect("\(try #require(error))".contains("refused"))
    }

    @Test("a terminated backend is an infrastructure error, never the row's fault")
    func terminated() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let connection = try await Connection.connect(to: url, applicationName: "victim", deadline: .after(.seconds(5)))
        let pool = Pool(url: url, size: 1)
        try await pool.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'")
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(statement("SELECT 1"), deadline: .after(.seconds(5)))
        }
        #expect(try !#require(error).blamesTheRow)
        #expect(await !connection.isUsable)
        await pool.close()
    }
}

@Suite("The pool")
struct PoolTests {
    @Test("more callers than connections are all served")
    func crowd() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 2)
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<50 {
                group.addTask {
                    try await pool.query(
                        Statement(name: "echo", sql: "SELECT $1::bigint AS n"), [.int(Int64(number))],
                        deadline: .after(.seconds(20)))[0].value("n")
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == (0..<50).reduce(0, +))
        await pool.close()
    }

    @Test("waiting for a free connection ends at the deadline, and by cancellation")
    func waiting() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let pool = Pool(url: url, size: 1)
        let holder = Task { try await pool.run("SELECT pg_sleep(30)") }
        #expect(try await sleeps(in: url))
        await #expect(throws: PostgresError.self) {
            try await pool.query(Statement(name: "one", sql: "SELECT 1"), deadline: .after(.milliseconds(50)))
        }
        // Whether it waits already or not yet: a cancelled caller gets no connection.
        let waiter = Task { try await pool.run("SELECT 1") }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        holder.cancel()
        _ = await holder.result
        try await pool.run("SELECT 1")
        await pool.close()
    }

    @Test("connections that broke are replaced")
    func replaced() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1)
        try await pool.run("SELECT 1")
        await #expect(throws: PostgresError.self) {
            try await pool.run("SELECT pg_terminate_backend(pg_backend_pid())")
        }
        try await pool.run("SELECT 1")
        await pool.close()
    }
}

@Suite("The pool's generations")
struct PoolGenerationTests {
    private func raise(_ sqlState: String) -> String {
        "DO $$ BEGIN RAISE SQLSTATE '\(sqlState)' USING MESSAGE = 'injected'; END $$"
    }

    /// The backends of all the pool's connections, which are lent out at the same time and come back idle.
    private func backends(of pool: Pool, size: Int) async throws -> Set<String> {
        let arrived = Recorder<String>()
        let isFull = AsyncEvent()
        return try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<size {
                group.addTask {
                    try await pool.withConnection(deadline: .after(.seconds(20))) { connection in
                        let pid = try await Self.pid(of: connection)
                        arrived.record(pid)
                        if arrived.all.count == size { isFull.set() }
                        await isFull.wait(atMost: .seconds(20))
                        return pid
                    }
                }
            }
            return try await group.reduce(into: []) { $0.insert($1) }
        }
    }

    private static func pid(of connection: Connection) async throws -> String {
        let statement = Statement(name: "pid", sql: "SELECT pg_backend_pid()::text AS pid")
        return try await connection.query(statement, deadline: .after(.seconds(20)))[0].value("pid")
    }

    @Test(
        "R2: after one connection heard that its server takes no writes, or goes away, every other one is replaced too",
        arguments: ["25006", "57P01", "57P02", "57P03", "08000", "08006"])
    func allReplaced(sqlState: String) async throws {
        let ended = Recorder<Int>()
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 3) { ended.record(1) }
        let before = try await backends(of: pool, size: 3)
        #expect(before.count == 3)
        await #expect(throws: PostgresError.self) { try await pool.run(raise(sqlState)) }
        #expect(ended.all.count == 1)
        // Not only on their next use: nobody holds what leads nowhere.
        let leftOver = """
            SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        #expect(try await eventually { try await pool.rows(leftOver).isEmpty })
        #expect(try await backends(of: pool, size: 3).isDisjoint(with: before))
        #expect(ended.all.count == 1)
        await pool.close()
    }

    @Test("a connection that was cut ends its generation; a statement that is refused does not")
    func cut() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 2)
        let before = try await backends(of: pool, size: 2)
        for sqlState in ["P0001", "23505", "22000", "40001", "55P03"] {
            await #expect(throws: PostgresError.self) { try await pool.run(raise(sqlState)) }
        }
        #expect(try await backends(of: pool, size: 2) == before)
        await #expect(throws: PostgresError.self) {
            try await pool.run("SELECT pg_terminate_backend(pg_backend_pid())")
        }
        #expect(try await backends(of: pool, size: 2).isDisjoint(with: before))
        await pool.close()
    }

    @Test("a connection that is lent out then is closed when it comes back, and who waits for it gets a new one")
    func lentOut() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 2)
        let isLent = AsyncEvent()
        let mayReturn = AsyncEvent()
        let holder = Task {
            try await pool.withConnection(deadline: .after(.seconds(20))) { connection in
                let pid = try await Self.pid(of: connection)
                isLent.set()
                await mayReturn.wait(atMost: .seconds(20))
                // What is under way goes on: the server may be a good one.
                #expect(try await Self.pid(of: connection) == pid)
                return pid
            }
        }
        await isLent.wait()
        await #expect(throws: PostgresError.self) { try await pool.run(raise("25006")) }
        let other = Task { try await backends(of: pool, size: 2) }
        mayReturn.set()
        let old = try await holder.value
        let new = try await other.value
        #expect(new.count == 2 && !new.contains(old))
        await pool.close()
    }
}

@Suite("A server that has become a standby")
struct StandbyTests {
    private let one = Statement(name: "one", sql: "SELECT 1 AS one")

    @Test("R2: who writes counts it as away, and says why; who reads may use it; after its address moved all go on")
    func standby() async throws {
        let old = try await TestPostgres.makeServer()
        let address = try MovableAddress(of: old.url)
        let writer = Pool(url: address.url, size: 2, mustWrite: true)
        let reader = Pool(url: address.url, size: 1)
        try await writer.run("CREATE TABLE public.kept AS SELECT 1 AS x")
        let new = try await TestPostgres.failOver(from: old)
        // What broke is forgotten first.
        let refusals = Recorder<String>()
        let isRefused = try await eventually {
            do {
                try await writer.run("INSERT INTO public.kept VALUES (2)")
            } catch PostgresError.connection(let reason) {
                refusals.record(reason)
            }
            return refusals.all.last?.contains("the server is a standby") == true
        }
        #expect(isRefused, "\(refusals.all.suffix(3))")
        #expect(try await eventually { (try? await reader.rows("SELECT pg_is_in_recovery()")) == ["(t)"] })
        try address.move(to: new.url)
        try await writer.run("INSERT INTO public.kept VALUES (3)")
        #expect(try await writer.rows("SELECT x FROM public.kept ORDER BY x") == ["(1)", "(3)"])
        for pool in [writer, reader] { await pool.close() }
        for server in [old, new] { try await server.stop(mode: .immediate, deadline: .after(.seconds(30))) }
    }

    @Test("a read-only database counts as away for who writes")
    func readOnly() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let admin = Pool(url: url, size: 1)
        let name = try await admin.rows("SELECT current_database()")[0].dropFirst().dropLast()
        let writer = Pool(url: url, size: 1, mustWrite: true)
        try await admin.run("ALTER DATABASE \(name) SET default_transaction_read_only = on")
        let error = await #expect(throws: PostgresError.self) {
            try await writer.query(one, deadline: .after(.seconds(20)))
        }
        #expect("\(try #require(error))".contains("the server is read only"))
        try await admin.run("ALTER DATABASE \(name) RESET default_transaction_read_only")
        try await writer.run("CREATE TABLE public.written (x int)")
        for pool in [admin, writer] { await pool.close() }
    }
}

@Suite("LISTEN")
struct ListenerTests {
    @Test("a notification arrives, also after the connection was cut")
    func survivesACut() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let pool = Pool(url: url, size: 1)
        let seen = Recorder<String>()
        let listener = Listener(url: url, channels: ["news"])
        let task = Task {
            await listener.run { event in
                switch event {
                case .listening: seen.record("listening")
                case .notified(let notification): seen.record(notification.payload)
                case .lost: seen.record("lost")
                }
            }
        }
        #expect(try await eventually { seen.all.contains("listening") })
        try await pool.run("SELECT pg_notify('news', 'one')")
        #expect(try await eventually { seen.all.contains("one") })
        try await pool.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lark-gateway listen' AND datname = current_database()"
        )
        #expect(try await eventually { seen.all.filter { $0 == "listening" }.count == 2 })
        try await pool.run("SELECT pg_notify('news', 'two')")
        #expect(try await eventually { seen.all.contains("two") })
        task.cancel()
        await task.value
        await pool.close()
    }
}

@Suite("S22: the server's own patience")
struct SessionLimitsTests {
    private static let limits = SessionLimits(statementTimeout: .milliseconds(300), idleInTransaction: .seconds(30))
    private static let settings = """
        SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')
        """

    @Test("a statement whose caller does not end it is ended by the server; the connection goes on")
    func ended() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1, limits: Self.limits)
        #expect(try await pool.rows(Self.settings) == ["(300ms,30s)"])
        let error = await #expect(throws: PostgresError.self) {
            try await pool.query(
                Statement(name: "sleep", sql: "SELECT pg_sleep(60)", isPrepared: false), deadline: .after(.seconds(50)))
        }
        guard case .statement(let refusal) = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(refusal.sqlState == "57014")
        #expect(try await pool.rows("SELECT 1") == ["(1)"])
        await pool.close()
    }

    @Test("S8: what another role puts into public is not called, also where the system's own function needs a cast")
    func searchPath() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let plain = Pool(url: url, size: 1)
        try await plain.run(
            "CREATE FUNCTION public.to_timestamp(numeric) RETURNS text LANGUAGE sql AS $$SELECT 'mine'$$")
        let call = "SELECT to_timestamp(0.0)::text = 'mine'"
        #expect(try await plain.rows(call) == ["(t)"])
        await plain.close()
        let limited = Pool(url: url, size: 1, limits: Self.limits)
        #expect(try await limited.rows(call) == ["(f)"])
        await limited.close()
    }

    @Test("what an administrator has set stays, for the role or in the URL; without limits nothing is set")
    func administrator() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let set = Pool(url: url + " options='-c statement_timeout=7s'", size: 1, limits: Self.limits)
        #expect(try await set.rows(Self.settings) == ["(7s,30s)"])
        await set.close()
        let plain = Pool(url: url, size: 1)
        #expect(try await plain.rows(Self.settings) == ["(0,0)"])
        await plain.close()
    }
}

@Suite("S22: the way to the server")
struct WayToTheServerTests {
    @Test("is said to be open where the server is elsewhere and its certificate is not checked")
    func ways() {
        func way(_ text: String, _ environment: [String: String] = [:]) -> String? {
            ConnectionText.unverifiedWay(text, environment: environment).map {
                "\($0.hosts.joined(separator: " ")) \($0.sslMode)"
            }
        }
        #expect(way("postgresql://u:p@db.example.com/x") == "db.example.com prefer")
        #expect(way("postgresql://a,localhost,b/x?sslmode=verify-ca") == "a b verify-ca")
        #expect(way("host=10.0.0.7 dbname=x sslmode=require") == "10.0.0.7 require")
        #expect(way("host=db hostaddr=10.0.0.7") == "10.0.0.7 prefer")
        #expect(way("dbname=x", ["PGHOST": "db", "PGSSLMODE": "allow"]) == "db allow")
        #expect(way("service=main") == "the service main prefer")
        for text in [
            "dbname=x", "postgresql:///x", "host=/run/postgresql", "host=localhost", "postgresql://127.0.0.1/x",
            "postgresql://[::1]/x", "postgresql://db.example.com/x?sslmode=verify-full", "not = valid = text",
        ] { #expect(way(text) == nil, "\(text)") }
        #expect(way("host=db", ["PGSSLMODE": "verify-full"]) == nil)
    }
}

@Suite("LISTEN, and a server that is left")
struct ListenerMoveTests {
    @Test("R2: when its server is left, the connection that listens is replaced, though nobody cut it")
    func connectsAnew() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let anew = Doorbell()
        let pool = Pool(url: url, size: 1) { anew.ring() }
        let seen = Recorder<String>()
        let task = Task {
            await Listener(url: url, channels: ["news"], anew: anew).run { event in
                switch event {
                case .listening: seen.record("listening")
                case .notified(let notification): seen.record(notification.payload)
                case .lost(let error, _): seen.record("lost: \(error)")
                }
            }
        }
        #expect(try await eventually { seen.all == ["listening"] })
        let backends = """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'lark-gateway listen'
            """
        let old = try await pool.rows(backends)
        #expect(old.count == 1)
        await #expect(throws: PostgresError.self) {
            try await pool.run("DO $$ BEGIN RAISE SQLSTATE '25006' USING MESSAGE = 'injected'; END $$")
        }
        #expect(try await eventually { seen.all == ["listening", "listening"] })
        let isReplaced = try await eventually {
            let new = try await pool.rows(backends)
            return new.count == 1 && new != old
        }
        #expect(isReplaced)
        try await pool.run("SELECT pg_notify('news', 'one')")
        #expect(try await eventually { seen.all == ["listening", "listening", "one"] })
        task.cancel()
        await task.value
        await pool.close()
    }
}

@Suite("The private Postgres")
struct PrivatePostgresTests {
    @Test("starts, is adopted while it runs, and keeps its data over a stop")
    func lifecycle() async throws {
        let server = try await TestPostgres.makeServer()
        let deadline = Deadline.after(.seconds(60))
        let pool = Pool(url: server.url, size: 1)
        try await pool.run("CREATE TABLE kept (x int)")
        #expect(try await server.start(deadline: deadline), "a running server is adopted")
        await pool.close()
        try await server.stop(deadline: deadline)
        #expect(try await !server.start(deadline: deadline))
        let again = Pool(url: server.url, size: 1)
        #expect(try await again.rows("SELECT count(*) FROM kept") == ["(0)"])
        await again.close()
        try await server.stop(mode: .immediate, deadline: deadline)
    }

    @Test("refuses to run as root, and says what to do", .enabled(if: geteuid() == 0))
    func root() async throws {
        let server = PrivatePostgres(directory: try TemporaryFolder.make("root"))
        let error = await #expect(throws: PrivatePostgres.Failure.self) {
            try await server.start(deadline: .after(.seconds(5)))
        }
        #expect("\(try #require(error))".contains("system user"))
    }
}

/// Waits until a statement of the database sleeps on the server.
private func sleeps(in url: String) async throws -> Bool {
    let observer = Pool(url: url, size: 1, applicationName: "observer")
    let found = try await eventually {
        try await !observer.rows(
            """
            SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'PgSleep' AND state = 'active'
            """
        ).isEmpty
    }
    await observer.close()
    return found
}
