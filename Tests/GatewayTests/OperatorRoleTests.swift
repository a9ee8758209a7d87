import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Store

@Suite("The roles that migrate --grant makes")
struct OperatorRoleTests {
    private static let columns = """
        SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'gateway'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        """

    private func code(_ body: () async throws -> Void) async -> String? {
        do {
            try await body()
            return nil
        } catch PostgresError.statement(let error) {
            return error.sqlState
        } catch {
            return "\(error)"
        }
    }

    @Test("an operator's role runs every command, reads no conversation and no sealed secret, and gives no rights")
    func operators() async throws {
        let fixture = try await Fixture(access: .pairing, apps: ["cli_a", "cli_b"])
        let role = "operator of " + (try await fixture.pool.rows("SELECT current_database()")[0].dropFirst().dropLast())
        try await fixture.pool.run(#"CREATE ROLE "\#(role)" LOGIN"#)
        try await fixture.repository.addOperatorRole(role)
        let repository = Repository(pool: Pool(url: fixture.url + " user='\(role)'", size: 1))
        let key = try SealingKey(String(repeating: "0b", count: 32))

        // What is not readable is listed by the catalog, not by this test.
        let unreadable = try await repository.pool.rows(
            Self.columns + " AND NOT has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY 1")
        #expect(
            Set(unreadable.map { $0.split(separator: ".")[0].dropFirst() }) == [
                "chat_binding", "chat_message", "group_context", "inbound_dedup", "installation", "outbox", "progress",
                "typing",
            ])
        #expect(unreadable.filter { $0.hasPrefix("(installation.") } == ["(installation.sealed_secret)"])
        #expect(unreadable.filter { $0.hasPrefix("(outbox.") } == ["(outbox.payload)"])
        #expect(
            try await repository.pool.rows(
                """
                SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'gateway'::regnamespace AND p.prosecdef
                    AND has_function_privilege(p.oid, 'EXECUTE')
                """) == [], "none that runs with the owner's rights")
        for sql in [
            "SELECT sealed_secret FROM gateway.installation", "SELECT * FROM gateway.installation",
            "SELECT payload FROM gateway.outbox", "SELECT FROM gateway.chat_message",
            "INSERT INTO gateway.worker_role VALUES ('x', 'default')", "CREATE TABLE gateway.mine (a int)",
            "TRUNCATE gateway.member CASCADE", "DELETE FROM gateway.installation",
        ] {
            #expect(await code { try await repository.pool.run(sql) } == "42501", "\(sql)")
        }
        #expect(await code { try await repository.addWorkerRole(role, runtime: "default") } == "42501")

        let settings = InstallationSettings(
            appID: "cli_new", appSecret: "s3cret",
            domain: URL(string: "https://open.feishu.cn") ?? URL(fileURLWithPath: "/"),
            workspace: "acme", agent: "new", access: .open, locale: .en)
        #expect(try await repository.addInstallation(settings, sealedWith: key) == "new")
        #expect(try await repository.addInstallation(settings, sealedWith: key) == "active")
        let sealed = try #require(try await repository.sealedSecret(of: "cli_new"))
        #expect(sealed.sealed == nil && sealed.keyID == key.id)
        #expect(try await fixture.repository.sealedSecret(of: "cli_new")?.sealed != nil)
        #expect(
            try await repository.setSecret(
                "other", of: "cli_new", at: sealed.domain, knownAs: sealed.domain, sealedWith: key, by: "ada@vm"))
        #expect(await code { _ = try await repository.sealedSecrets() } == "42501")
        #expect(try await repository.revokeInstallation("cli_new", by: "ada@vm"))
        #expect(try await repository.restoreInstallation("cli_new", by: "ada@vm"))
        #expect(try await repository.resetInstallation("cli_new") == 0)
        #expect(try await repository.installationStatuses(limit: 10).total == 3)

        #expect(try await repository.agents(limit: 10).total == 2)
        try await fixture.ingest(Fixture.message("om_1"))
        for word in [
            .runtime(nil), .runtime("other"), .mayMentionAll(true), .isArchived(true), .isArchived(false),
        ] as [AgentSetting] {
            #expect(try await repository.override(word, ofAgent: "support", in: "acme", by: "ada@vm"))
        }
        #expect(try await repository.resetAgent("support", in: "acme") != nil)

        #expect(
            try await repository.pool.rows("SELECT gateway.invite_member('acme', 'Ann', NULL, '\\x01', '1 hour')") == [
                "(t)"
            ])
        try await fixture.pool.run(
            """
            INSERT INTO gateway.binding_token (installation_id, token_sha256, open_id, expires_at)
            SELECT id, sha256('code'), 'ou_9', now() + interval '10 minutes' FROM gateway.installation WHERE app_id = 'cli_a'
            """)
        #expect(
            try await repository.pool.rows("SELECT state, sealed_secret FROM gateway.find_code(sha256('code'))")
                == ["(open,)"])
        #expect(
            try await repository.pool.rows("SELECT outcome FROM gateway.approve_code(sha256('code'), 'Bob', false)")
                == ["(bound)"])
        try await end(fixture, repository, role)
    }

    private func end(_ fixture: Fixture, _ repository: Repository, _ role: String) async throws {
        #expect(try await repository.members(limit: 10).total >= 2)
        _ = try await repository.removeMember("Bob", from: "acme")
        _ = try await repository.issues(of: nil, limit: 10)
        _ = try await repository.outbox(isDead: false, of: nil, limit: 10)
        #expect(try await repository.pool.rows("SELECT gateway.retry_outbox(NULL, NULL)") == ["(0)"])
        #expect(try await repository.pool.rows("SELECT gateway.drop_outbox(gen_random_uuid())") == ["(f)"])
        // An upgrade that makes a function anew gives the right to it again.
        try await fixture.pool.run("DROP FUNCTION gateway.drop_outbox(uuid)")
        try await fixture.pool.run("DELETE FROM gateway.definition WHERE name = 'drop_outbox'")
        try await GatewaySchema.migrator.apply(to: fixture.pool, deadline: .after(.seconds(30)))
        #expect(try await repository.pool.rows("SELECT gateway.drop_outbox(gen_random_uuid())") == ["(f)"])
        await repository.pool.close()
        try await fixture.pool.run(#"DROP OWNED BY "\#(role)""#)
        try await fixture.pool.run(#"DROP ROLE "\#(role)""#)
        await fixture.pool.close()
    }

    private func names(_ steps: [DatabaseRoles.Step]) -> [String] {
        steps.compactMap { if case .done(let text) = $0 { text } else { nil } }
    }

    private static let deadline = Deadline.after(.seconds(120))

    private func url(_ server: PrivatePostgres, _ role: String, _ database: String = "postgres") -> String {
        TestPostgres.url(server, database).replacingOccurrences(of: "user=lark_gateway", with: "user='\(role)'")
    }

    @Test(
        "an administrator who may make roles, and is no superuser, makes all from an empty server; again, all is kept")
    func fromEmpty() async throws {
        let server = try await TestPostgres.makeServer()
        let superuser = Pool(url: url(server, "lark_gateway"), size: 1)
        try await superuser.run("CREATE ROLE boss LOGIN CREATEROLE CREATEDB")
        func make(_ admin: String) async throws -> [DatabaseRoles.Step] {
            var steps: [DatabaseRoles.Step] = []
            try await DatabaseRoles(
                adminURL: url(server, admin), role: "gate way", database: "gate", password: "p'w",
                deadline: Self.deadline
            ).make(runtimes: ["default", "other"]) { steps.append($0) }
            return steps
        }
        let first = names(try await make("boss"))
        #expect(
            Array(first.prefix(4)) == [
                #"CREATE ROLE "gate way" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD of database_url"#,
                "CREATE ROLE lark_gateway_worker LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 20",
                "CREATE ROLE lark_gateway_operator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 5",
                "CREATE DATABASE gate",
            ])
        #expect(first.contains(#"CREATE SCHEMA gateway AUTHORIZATION "gate way""#), "\(first)")
        #expect(first.contains { $0.hasPrefix("schema: new") } && !first.joined().contains("p'w"), "\(first)")
        #expect(
            try await superuser.rows(
                "SELECT pg_has_role('boss', 'gate way', 'USAGE'), rolpassword LIKE 'SCRAM-SHA-256$%'"
                    + " FROM pg_authid WHERE rolname = 'gate way'") == ["(f,t)"])
        #expect(names(try await make("lark_gateway")) == [])

        let access = try await SchemaAccess.ask(url(server, "gate way", "gate"), deadline: Self.deadline)
        #expect(access.lack(for: .gateway) == nil && !access.mayCreate, "\(access)")
        #expect(try await SchemaAccess.ask(url(server, DatabaseRoles.worker, "gate"), deadline: Self.deadline).mayWork)
        let gateway = Repository(pool: Pool(url: url(server, "gate way", "gate"), size: 1))
        #expect(
            try await gateway.workerRoles().map { [$0.name, $0.runtime] } == [
                [DatabaseRoles.worker, "default"], [DatabaseRoles.worker, "other"],
            ])
        await gateway.pool.close()
        await superuser.close()
        try await server.stop(mode: .immediate, deadline: Self.deadline)
    }

    @Test(
        "a schema that the superuser made is handed over with all that is in it; a role with too many rights is named")
    func handedOver() async throws {
        let server = try await TestPostgres.makeServer()
        let superuser = Pool(url: url(server, "lark_gateway"), size: 1)
        try await superuser.run("CREATE DATABASE gate")
        try await superuser.run("CREATE ROLE gate LOGIN CREATEROLE")
        let old = Pool(url: url(server, "lark_gateway", "gate"), size: 1)
        try await GatewaySchema.migrator.apply(to: old, deadline: Self.deadline)
        var steps: [DatabaseRoles.Step] = []
        try await DatabaseRoles(
            adminURL: url(server, "lark_gateway"), role: "gate", database: "gate", password: nil,
            deadline: Self.deadline
        ).make(runtimes: []) { steps.append($0) }
        #expect(steps.contains(.done("ALTER SCHEMA gateway OWNER TO gate")), "\(steps)")
        #expect(steps.contains(.warning("the role gate is CREATEROLE, and needs not: ALTER ROLE ... NOCREATEROLE")))
        #expect(
            try await old.rows(
                """
                SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relowner <> 'gate'::regrole
                UNION ALL SELECT proname FROM pg_proc
                WHERE pronamespace = 'gateway'::regnamespace AND proowner <> 'gate'::regrole
                """) == [])
        let access = try await SchemaAccess.ask(url(server, "gate", "gate"), deadline: Self.deadline)
        #expect(access.lack(for: .gateway) == nil)
        await old.close()
        await superuser.close()
        try await server.stop(mode: .immediate, deadline: Self.deadline)
    }
}
