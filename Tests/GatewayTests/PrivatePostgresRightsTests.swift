import AsyncRuntime
import Foundation
import Postgres
import Store
import TestSupport
import Testing

@Suite("S20: the rights in and around a private Postgres")
struct PrivatePostgresRightsTests {
    private let deadline = Deadline.after(.seconds(60))
    private let directory: String
    private let user = geteuid() == 0 ? "postgres" : nil

    init() throws {
        directory = try TemporaryFolder.make("rights") + "/own"
    }

    private var server: PrivatePostgres {
        PrivatePostgres(directory: directory, runAs: user, settings: ["fsync": "off"])
    }

    private func start() async throws {
        ExitCleanup.addServer(directory)
        try await server.start(deadline: deadline)
    }

    @Test("the gateway owns its database, does all it must there, and can neither read files nor run programs")
    func gateway() async throws {
        try await start()
        let pool = Pool(url: server.url, size: 2, mustWrite: true)
        #expect(
            try await pool.rows(
                "SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user") == [
                    "(f,f,f)"
                ])
        for sql in [
            "COPY (SELECT 1) TO PROGRAM 'cat'", "SELECT pg_read_file('PG_VERSION')", "CREATE ROLE other SUPERUSER",
        ] {
            let error = await #expect(throws: PostgresError.self) { try await pool.run(sql) }
            guard case .statement(let refusal) = error else {
                return #expect(Bool(false), "\(String(describing: error))")
            }
            #expect(refusal.sqlState == "42501", "\(sql)")
        }
        #expect(try await !GatewaySchema.migrator.apply(to: pool, deadline: deadline).isEmpty)
        let listening = AsyncEvent()
        let heard = AsyncEvent()
        let listener = Task {
            await Listener(url: server.url, channels: ["gateway_task"]).run { event in
                switch event {
                case .listening: listening.set()
                case .notified: heard.set()
                case .lost: break
                }
            }
        }
        await listening.wait(atMost: .seconds(20))
        try await pool.run("SELECT pg_notify('gateway_task', 'default')")
        await heard.wait(atMost: .seconds(20))
        #expect(heard.isSet)
        listener.cancel()
        await listener.value
        #expect(
            try await pool.rows(
                """
                SELECT current_setting('jit'), current_setting('log_parameter_max_length'),
                    current_setting('log_parameter_max_length_on_error'), current_setting('listen_addresses')
                """) == [#"(off,0,0,"")"#])
        await pool.close()
        try await server.stop(mode: .immediate, deadline: deadline)
    }

    @Test("nobody but the server's user and root gets in, and only as the gateway's roles; no other host, no copy")
    func doors() async throws {
        try await start()
        let admin = Pool(
            url: server.url.replacingOccurrences(of: "user=lark_gateway", with: "user=lark_gateway_admin"), size: 1)
        #expect(
            try await admin.rows(
                "SELECT type, database, auth_method, options FROM pg_hba_file_rules ORDER BY line_number") == [
                    "(local,{replication},reject,)", "(local,{all},peer,{map=lark_gateway})", "(host,{all},reject,)",
                    "(host,{replication},reject,)",
                ])
        try await admin.run("CREATE ROLE other LOGIN")
        await admin.close()
        let other = Pool(url: server.url.replacingOccurrences(of: "user=lark_gateway", with: "user=other"), size: 1)
        let error = await #expect(throws: PostgresError.self) { try await other.run("SELECT 1") }
        #expect("\(try #require(error))".contains("Peer authentication failed"))
        await other.close()
        // Changed by hand: a start puts them back.
        try await server.stop(deadline: deadline)
        try "local all all trust\n".write(
            to: URL(fileURLWithPath: directory + "/data/pg_hba.conf"), atomically: false, encoding: .utf8)
        try await server.start(deadline: deadline)
        await #expect(throws: PostgresError.self) {
            let again = Pool(url: server.url.replacingOccurrences(of: "user=lark_gateway", with: "user=other"), size: 1)
            try await again.run("SELECT 1")
        }
        try await server.stop(mode: .immediate, deadline: deadline)
    }

    @Test("a folder that others may enter, or own, ends the start with what to do")
    func folders() async throws {
        try await start()
        try await server.stop(mode: .immediate, deadline: deadline)
        for folder in [directory, directory + "/socket", directory + "/data"] {
            chmod(folder, 0o750)
            let error = await #expect(throws: PrivatePostgres.Failure.self) {
                try await server.start(deadline: deadline)
            }
            let failure = try #require(error)
            #expect(failure.isSetUp)
            #expect(
                failure.description
                    == "\(folder) holds the gateway's secrets and messages, and others may enter it (its mode is 750): "
                    + "chmod 700 \(folder)")
            chmod(folder, 0o700)
        }
        if geteuid() == 0 {
            chown(directory + "/data", 1, gid_t.max)
            let error = await #expect(throws: PrivatePostgres.Failure.self) {
                try await server.start(deadline: deadline)
            }
            #expect("\(try #require(error))".contains("it belongs to daemon, and not to postgres, who runs Postgres"))
        }
    }

    @Test("its log is cut where it is too long, and keeps its newest part; so much is written to it as before")
    func log() async throws {
        try await start()
        let log = directory + "/postgres.log"
        let file = try #require(FileHandle(forWritingAtPath: log))
        try file.seekToEnd()
        for _ in 0..<9 { try file.write(contentsOf: Data(repeating: 0x61, count: 1 << 20)) }
        try file.write(contentsOf: Data("the end\n".utf8))
        server.boundLog()
        #expect(try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int == 0)
        let older = try Data(contentsOf: URL(fileURLWithPath: log + ".1"))
        #expect(older.count == 1 << 20 && older.suffix(8) == Data("the end\n".utf8))
        try await server.stop(deadline: deadline)
        // The server appends: no hole before what it says now.
        #expect(try String(contentsOfFile: log, encoding: .utf8).hasSuffix("database system is shut down\n"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: log)).first != 0)
        // A cluster that is lost is not replaced by an empty one, though its log was just cut.
        try FileManager.default.removeItem(atPath: directory + "/data")
        try Data().write(to: URL(fileURLWithPath: log))
        let error = await #expect(throws: PrivatePostgres.Failure.self) { try await server.start(deadline: deadline) }
        #expect("\(try #require(error))".contains("there is no Postgres cluster"))
    }
}
