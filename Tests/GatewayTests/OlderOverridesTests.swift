import AsyncRuntime
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// What a version before overrides left in the database, and what its replicas and commands do while it still runs.
@Suite("Overrides and the version before")
struct OlderOverridesTests {
    @Test("what a command of an older version archived and revoked is an override after the upgrade, by nobody known")
    func rows() async throws {
        let pool = Pool(url: try await TestPostgres.makeOldDatabase(), size: 1)
        try await pool.run("UPDATE gateway.agent SET archived_at = '2026-01-02Z', archived_by = 'command'")
        try await pool.run(
            """
            UPDATE gateway.installation SET status = 'revoked', revoked_by = 'command', free_since = '2026-01-02Z'
            WHERE app_id = 'cli_test'
            """)
        let agents = try await pool.rows("SELECT runtime_id, archived_by FROM gateway.agent ORDER BY id")
        #expect(!agents.isEmpty)
        try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(60)))
        let repository = Repository(pool: pool)
        #expect(try await pool.rows("SELECT runtime_id, archived_by FROM gateway.agent ORDER BY id") == agents)
        #expect(
            try await pool.rows("SELECT configured_runtime_id, archived_by FROM gateway.agent ORDER BY id") == agents)
        let things = try await repository.overriddenThings(limit: 100)
        #expect(things.filter { $0.kind == "agent" }.count == agents.count)
        let bot = try #require(things.first { $0.kind == "installation" })
        #expect(bot.name == "cli_test" && bot.overrides.map(\.setting) == ["revoked"])
        #expect(bot.overrides.map(\.user) == [nil] && bot.overrides.map(\.since) == ["2026-01-02T00:00:00Z"])
        #expect(bot.overrides.map(\.hides) == [true])
        await pool.close()
    }

    @Test("calls of the version before work: its revocation is an override, and its file's word is kept from the row")
    func calls() async throws {
        let fixture = try await Fixture()
        let file = #"[{"workspace": "acme", "name": "support", "runtime": "default"}]"#
        let bots =
            #"[{"app_id": "cli_a", "workspace": "acme", "agent": "support", "domain": "https://open.feishu.cn", "locale": "en", "access": "open"}]"#
        func apply() async throws -> [String] {
            try await fixture.pool.rows("SELECT gateway.apply_configuration('\(file)', '\(bots)')")
        }
        #expect(try await apply() == [])
        #expect(
            try await fixture.repository.override(.runtime("other"), ofAgent: "support", in: "acme", by: "ada@vm"))
        #expect(try await fixture.pool.rows("SELECT gateway.revoke_installation('cli_a', 'command')") == ["(t)"])
        #expect(try await apply() == [#"("(installation,cli_a,stays_revoked)")"#])
        #expect(try await fixture.pool.rows("SELECT runtime_id FROM gateway.agent") == ["(other)"])
        #expect(
            try await fixture.pool.rows("SELECT setting, made_by FROM gateway.installation_override")
                == ["(revoked,)"])
        // A lease is taken with the secret of the file only where no command has given another one.
        #expect(try await fixture.repository.resetInstallation("cli_a") == 1)
        func taken() async throws -> Int {
            try await fixture.repository.takeLeases(
                holder: "old", deadHolders: [], appIDs: ["cli_a"], ttl: .seconds(60), grace: .zero
            ).count
        }
        try await fixture.pool.run(
            "UPDATE gateway.installation SET sealed_secret = 'x', sealed_key_id = 'k', free_since = now() - interval '1h'"
        )
        #expect(try await taken() == 0)
        try await fixture.pool.run("UPDATE gateway.installation SET sealed_secret = NULL, sealed_key_id = NULL")
        #expect(try await taken() == 1)
        await fixture.pool.close()
    }
}
