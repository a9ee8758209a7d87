import AsyncRuntime
import Foundation
import Postgres
import Store
import TestSupport
import Testing

/// What there is to try is listed by the catalog: what a later version adds is tried too.
@Suite("S4: an agent that was talked into something, as its worker's role")
struct HostileWorkerTests {
    private struct Place {
        let fixture: Fixture
        let role: String
        let url: String
        let worker: Repository

        init() async throws {
            fixture = try await Fixture()
            let session = try #require(try await fixture.ingest(Fixture.message("om_1", "hello"))[0].session)
            try await fixture.flush(session)
            let database = try await fixture.pool.rows("SELECT current_database()")[0].dropFirst().dropLast()
            // The test server's own role is a superuser; a gateway's is none.
            role = "hostile of \(database)"
            try await fixture.pool.run(#"CREATE ROLE "\#(role)" LOGIN"#)
            try await fixture.repository.addWorkerRole(role, runtime: "default")
            url = fixture.url + " user='\(role)'"
            worker = Repository(pool: Pool(url: url, size: 2))
        }

        func code(_ sql: String, _ values: [PostgresValue] = []) async -> String? {
            do {
                try await worker.pool.run(sql, values)
                return nil
            } catch PostgresError.statement(let error) {
                return error.sqlState
            } catch {
                return "\(error)"
            }
        }

        func end() async throws {
            await worker.pool.close()
            try await fixture.pool.run(#"DROP OWNED BY "\#(role)""#)
            try await fixture.pool.run(#"DROP ROLE "\#(role)""#)
            await fixture.pool.close()
        }
    }

    private static let six = [
        "claim_task", "complete_task", "extend_task", "fail_task", "report_progress", "return_claims",
    ]

    @Test("has no privilege on any table, column, sequence, type's table or schema, and EXECUTE of six functions alone")
    func catalog() async throws {
        let place = try await Place()
        let relations = """
            SELECT c.relname, p.p FROM pg_class c
            CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p (p)
            WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            """
        #expect(try await place.worker.pool.rows(relations).count > 20 * 7)
        #expect(try await place.worker.pool.rows(relations + " AND has_table_privilege(c.oid, p.p)") == [])
        #expect(
            try await place.worker.pool.rows(
                relations
                    + " AND p.p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(c.oid, p.p)"
            )
                == [])
        #expect(
            try await place.worker.pool.rows(
                """
                SELECT c.relname, p.p FROM pg_class c CROSS JOIN unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) p (p)
                WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'S' AND has_sequence_privilege(c.oid, p.p)
                """) == [])
        #expect(
            try await place.worker.pool.rows(
                """
                SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'gateway'::regnamespace
                    AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1
                """) == Self.six.map { "(\($0))" })
        #expect(
            try await place.worker.pool.rows(
                """
                SELECT has_schema_privilege('gateway', 'CREATE'), has_database_privilege(current_database(), 'CREATE'),
                    rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
                    (SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid)
                FROM pg_roles r WHERE rolname = current_user
                """) == ["(f,f,f,0)"])
        // What runs with the owner's rights is what a worker may call, and nothing else.
        #expect(
            try await place.fixture.pool.rows(
                "SELECT proname FROM pg_proc WHERE pronamespace = 'gateway'::regnamespace AND prosecdef ORDER BY 1")
                == Self.six.map { "(\($0))" })
        try await place.end()
    }

    @Test("calls every other function, and reads and changes every table, in vain")
    func tries() async throws {
        let place = try await Place()
        // The server refuses before it looks at the arguments.
        let calls = try await place.fixture.pool.rows(
            """
            SELECT format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg(format('NULL::%s', format_type(t.t, NULL)), ', '
                ORDER BY t.nth) FROM unnest(p.proargtypes) WITH ORDINALITY t (t, nth)))
            FROM pg_proc p WHERE p.pronamespace = 'gateway'::regnamespace AND p.prorettype <> 'trigger'::regtype
                AND p.proname <> ALL ($1)
            """, [.textArray(Self.six)])
        #expect(calls.count > 50)
        for call in calls {
            let sql = call.trimmingCharacters(in: ["(", "\""]).replacingOccurrences(of: "\"", with: "")
            let whole = sql.hasSuffix("))") ? String(sql.dropLast()) : sql
            #expect(await place.code(whole) == "42501", "\(whole)")
        }
        let tables = try await place.fixture.pool.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind IN ('r', 'v', 'm')")
        for table in tables.map({ $0.dropFirst().dropLast() }) {
            for sql in [
                "SELECT FROM gateway.\(table)", "DELETE FROM gateway.\(table)", "TRUNCATE gateway.\(table)",
                "DO $$ BEGIN LOCK TABLE gateway.\(table) IN ACCESS SHARE MODE; END $$",
                "ALTER TABLE gateway.\(table) ADD mine int",
                "CREATE TRIGGER t BEFORE INSERT ON gateway.\(table) FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                "COPY gateway.\(table) TO STDOUT", "CREATE TEMP TABLE mine (LIKE gateway.\(table))",
                "COMMENT ON TABLE gateway.\(table) IS 'mine'", "INSERT INTO gateway.\(table) DEFAULT VALUES",
            ] {
                #expect(await place.code(sql) == "42501", "\(sql)")
            }
        }
        try await place.end()
    }

    @Test("becomes nobody else, ends and sees no other session, and reaches neither files nor programs")
    func server() async throws {
        let place = try await Place()
        let gateway = try await place.fixture.pool.rows("SELECT pg_backend_pid()")[0].dropFirst().dropLast()
        let owner = try await place.fixture.pool.rows("SELECT current_user")[0].dropFirst().dropLast()
        for sql in [
            "SET ROLE \(owner)", "SET SESSION AUTHORIZATION \(owner)", "GRANT \(owner) TO CURRENT_USER",
            "SELECT pg_terminate_backend(\(gateway))", "SELECT pg_cancel_backend(\(gateway))",
            "SELECT pg_reload_conf()",
            "SELECT pg_rotate_logfile()", "ALTER SYSTEM SET log_statement = 'all'", "SET log_statement = 'all'",
            "SET session_replication_role = 'replica'", "SET log_min_duration_statement = 0",
            "SELECT pg_read_file('PG_VERSION')", "SELECT pg_read_binary_file('PG_VERSION')", "SELECT pg_ls_dir('.')",
            "SELECT pg_stat_file('PG_VERSION')", "SELECT lo_import('/etc/passwd')", "COPY (SELECT 1) TO PROGRAM 'cat'",
            "COPY (SELECT 1) TO '/tmp/lark-gateway-hostile'", "SELECT pg_ls_waldir()", "SELECT pg_switch_wal()",
            "SELECT * FROM pg_authid", "SELECT * FROM pg_hba_file_rules", "SELECT * FROM pg_file_settings",
            "SELECT pg_log_backend_memory_contexts(\(gateway))", "SELECT pg_create_restore_point('x')",
            "CREATE ROLE other", "CREATE DATABASE other", "CREATE EXTENSION dblink", "CREATE EXTENSION file_fdw",
            "CREATE LANGUAGE plperlu", "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION gateway.x()",
            "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "CREATE FOREIGN DATA WRAPPER w",
            "ALTER FUNCTION gateway.claim_task SECURITY INVOKER", "DROP FUNCTION gateway.claim_task",
            "ALTER SCHEMA gateway RENAME TO mine", "DROP SCHEMA gateway CASCADE",
            "ALTER DATABASE template1 IS_TEMPLATE false",
            "SELECT pg_stat_reset()", "VACUUM FULL pg_authid",
        ] {
            let refused = await place.code(sql)
            // 42704, 58P01 and 0A000: an extension or a language that is not there.
            #expect(
                ["42501", "42704", "58P01", "0A000"].contains(refused)
                    || refused == nil && sql.hasPrefix("VACUUM"), "\(sql): \(refused ?? "allowed")")
        }
        // Of others it sees that they are there, and nothing that they do.
        let seen = try await place.worker.pool.rows(
            """
            SELECT DISTINCT query, client_addr, backend_xmin FROM pg_stat_activity
            WHERE usename = '\(owner)' AND query <> '<insufficient privilege>'
            """)
        #expect(seen == [])
        #expect(try await place.worker.pool.rows("SELECT FROM pg_prepared_statements WHERE statement ~ 'ingest'") == [])
        #expect(try await place.worker.pool.rows("SELECT FROM pg_stats WHERE schemaname = 'gateway'") == [])
        try await place.end()
    }

    @Test("that keeps the queue of notifications from being emptied is put out; the gateway's sessions stay")
    func queue() async throws {
        let place = try await Place()
        let hostile = try await Connection.connect(
            to: place.url, applicationName: "hostile", preparesStatements: false, deadline: .after(.seconds(20)))
        try await hostile.execute(script: "LISTEN gateway_outbox", name: "hostile", deadline: .after(.seconds(20)))
        try await hostile.execute(script: "BEGIN; SELECT 1", name: "hostile", deadline: .after(.seconds(20)))
        #expect(try await place.fixture.repository.relieveNotifications(abovePercent: 90) == nil)
        let ended = try #require(try await place.fixture.repository.relieveNotifications(abovePercent: 0))
        #expect(ended >= 1)
        await #expect(throws: PostgresError.self) {
            try await hostile.execute(script: "SELECT 1", name: "hostile", deadline: .after(.seconds(20)))
        }
        await hostile.close()
        #expect(try await place.fixture.pool.rows("SELECT 1") == ["(1)"])
        try await place.end()
    }

    @Test("gets no task of another runtime, and ends none of another worker's, whatever it says and sets")
    func otherRuntimes() async throws {
        let place = try await Place()
        let own = WorkerIdentity(name: "mine", token: WorkerIdentity.randomToken())
        let other = WorkerIdentity(name: "other", token: WorkerIdentity.randomToken())
        let claimed = try #require(
            try await place.fixture.repository.claimTask(runtime: "default", worker: other, lease: .seconds(60)))
        for name in [own.name, other.name] {
            for (call, expected) in [
                ("gateway.complete_task($1, $2, 'x', $3)", "GW001"), ("gateway.fail_task($1, $2, 'x', $3)", "GW001"),
                ("gateway.extend_task($1, $2, $3)", "GW001"), ("gateway.report_progress($1, $2, 'x', $3)", "GW001"),
            ] {
                #expect(
                    await place.code("SELECT \(call)", [.int(claimed.id), .text(name), .text(own.token)]) == expected)
            }
            #expect(
                try await place.worker.pool.rows(
                    "SELECT gateway.return_claims($1, $2)", [.text(name), .text(own.token)])
                    == ["(0)"])
        }
        for runtime in ["elsewhere", "", "*", "%", "default ", "DEFAULT"] {
            #expect(
                await place.code(
                    "SELECT gateway.claim_task($1, 'w', '1 minute', NULL, $2)", [.text(runtime), .text(own.token)])
                    == "42501", "\(runtime)")
        }
        // What it sets for its session changes nothing within the functions.
        let connection = try await Connection.connect(
            to: place.url, applicationName: "hostile", preparesStatements: false, deadline: .after(.seconds(20)))
        for sql in [
            "SET search_path = pg_temp, public, gateway",
            "CREATE TEMP TABLE worker_role (role_name text, runtime_id text)",
            "CREATE TEMP TABLE pg_roles AS SELECT * FROM pg_catalog.pg_roles",
            "CREATE FUNCTION pg_temp.pg_has_role(name, name, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
            "SET row_security = off", "SET check_function_bodies = off",
        ] {
            try await connection.query(
                Statement(name: "hostile", sql: sql, isPrepared: false), deadline: .after(.seconds(20)))
        }
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(
                Statement(
                    name: "hostile", sql: "SELECT gateway.claim_task('elsewhere', 'w', '1 minute', NULL, $1)",
                    isPrepared: false), [.text(own.token)], deadline: .after(.seconds(20)))
        }
        guard case .statement(let refusal) = error else { return #expect(Bool(false), "\(String(describing: error))") }
        #expect(refusal.sqlState == "42501")
        await connection.close()
        try await place.fixture.repository.completeTask(claimed.id, worker: other, reply: "mine still")
        try await place.end()
    }
}
