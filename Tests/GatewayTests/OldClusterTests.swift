import AsyncRuntime
import Foundation
import Postgres
import Store
import TestSupport
import Testing

/// Clusters of versions whose gateway was the superuser of its private Postgres.
@Suite("S20: a private Postgres of before")
struct OldClusterTests {
    private let deadline = Deadline.after(.seconds(120))
    private let directory: String
    private let user = geteuid() == 0 ? "postgres" : nil

    init() throws {
        directory = try TemporaryFolder.make("old") + "/own"
    }

    private var server: PrivatePostgres {
        PrivatePostgres(directory: directory, runAs: user, settings: ["fsync": "off"])
    }

    private func tool(_ words: String...) async throws {
        let command =
            (user.map { ["/usr/bin/setpriv", "--reuid=\($0)", "--regid=\($0)", "--clear-groups"] } ?? []) + words
        let result = try await ChildProcess.run(
            command[0], Array(command.dropFirst()), collectsOutput: words.last != "start", deadline: deadline)
        try #require(result.status == 0, "\(String(decoding: result.errorOutput, as: UTF8.self))")
    }

    private func programs() throws -> String {
        let root = "/usr/lib/postgresql"
        let version = try FileManager.default.contentsOfDirectory(atPath: root).compactMap(Int.init).max()
        return "\(root)/\(try #require(version))/bin"
    }

    private func url(_ role: String, _ database: String = "lark_gateway") -> String {
        "host='\(directory)/socket' port=5432 dbname=\(database) user=\(role)"
    }

    /// As that version made it, with the gateway's tables, a message, and some things that people add.
    private func makeOldCluster() async throws {
        for path in [directory, directory + "/socket"] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            if let user { chown(path, try #require(getpwnam(user)).pointee.pw_uid, gid_t.max) }
        }
        let programs = try programs()
        try await tool(
            programs + "/initdb", "-D", directory + "/data", "-U", "lark_gateway", "-E", "UTF8", "--locale=C.UTF-8",
            "--auth=trust")
        try await tool(
            programs + "/pg_ctl", "-D", directory + "/data", "-l", directory + "/postgres.log", "-o",
            "-c listen_addresses='' -c unix_socket_directories='\(directory)/socket' -c fsync=off", "-w", "-s", "start")
        ExitCleanup.addServer(directory)
        let first = Pool(url: url("lark_gateway", "postgres"), size: 1)
        try await first.run("CREATE DATABASE lark_gateway")
        await first.close()
        let pool = Pool(url: url("lark_gateway"), size: 1)
        try await GatewaySchema.migrator.apply(to: pool, deadline: deadline)
        try await pool.run("INSERT INTO gateway.workspace (name) VALUES ('acme')")
        try await pool.run("CREATE SCHEMA \"Of mine\"")
        try await pool.run(
            "CREATE TABLE \"Of mine\".notes (id int GENERATED ALWAYS AS IDENTITY, old serial, word text)")
        try await pool.run("CREATE DOMAIN \"Of mine\".word AS text")
        try await pool.run("CREATE TYPE \"Of mine\".pair AS (a int, b int)")
        try await pool.run("CREATE VIEW public.names AS SELECT name FROM gateway.workspace")
        try await pool.run("CREATE EXTENSION IF NOT EXISTS plpgsql")
        await pool.close()
    }

    private static let strangers = """
        SELECT 'relation', c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relowner <> 'lark_gateway'::regrole
        UNION ALL SELECT 'routine', p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND p.proowner <> 'lark_gateway'::regrole
        UNION ALL SELECT 'type', t.oid::regtype::text FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND t.typowner <> 'lark_gateway'::regrole
        UNION ALL SELECT 'schema', nspname FROM pg_namespace
        WHERE nspname IN ('gateway', 'Of mine') AND nspowner <> 'lark_gateway'::regrole
        UNION ALL SELECT 'database', datname FROM pg_database
        WHERE datname = 'lark_gateway' AND datdba <> 'lark_gateway'::regrole
        """

    @Test(
        "is brought to a gateway without a superuser's rights, stopped or running, and nothing is lost",
        arguments: [false, true])
    func broughtUp(isRunning: Bool) async throws {
        try await makeOldCluster()
        if !isRunning {
            try await tool(
                try programs() + "/pg_ctl", "-D", directory + "/data", "-m", "fast", "-w", "-s", "stop")
        }
        #expect(try await server.start(deadline: deadline) == isRunning)
        // Once more: there is nothing left to do.
        #expect(try await server.start(deadline: deadline))

        let pool = Pool(url: server.url, size: 2)
        #expect(
            try await pool.rows(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user"
            ) == ["(f,f,f,f)"])
        #expect(try await pool.rows(Self.strangers) == [])
        #expect(try await pool.rows("SELECT name FROM public.names") == ["(acme)"])
        #expect(try await pool.rows("SELECT count(*) FROM pg_roles WHERE rolname = 'lark_gateway_mover'") == ["(0)"])
        try await pool.run("ALTER TABLE \"Of mine\".notes ADD COLUMN more int")
        try await pool.run("CREATE OR REPLACE VIEW public.names AS SELECT name FROM gateway.workspace")
        #expect(try await GatewaySchema.migrator.apply(to: pool, deadline: deadline) == [])
        await #expect(throws: PostgresError.self) { try await pool.run("COPY (SELECT 1) TO PROGRAM 'cat'") }
        await pool.close()
        try await server.stop(mode: .immediate, deadline: deadline)
    }

    @Test("a start that was killed between two steps is finished by the next one")
    func interrupted() async throws {
        try await makeOldCluster()
        let old = Pool(url: url("lark_gateway", "postgres"), size: 1)
        try await old.run("CREATE ROLE lark_gateway_mover SUPERUSER LOGIN")
        await old.close()
        let mover = Pool(url: url("lark_gateway_mover", "postgres"), size: 1)
        try await mover.run("ALTER ROLE lark_gateway RENAME TO lark_gateway_admin")
        await mover.close()
        try await server.start(deadline: deadline)
        let pool = Pool(url: server.url, size: 1)
        #expect(try await pool.rows("SELECT rolsuper FROM pg_roles WHERE rolname ~ 'gateway$'") == ["(f)"])
        #expect(try await pool.rows(Self.strangers) == [])
        await pool.close()
        try await server.stop(mode: .immediate, deadline: deadline)
    }
}
