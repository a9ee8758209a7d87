import AsyncRuntime
import Foundation
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("The schema of an older version")
struct SchemaUpgradeTests {
    private static let snapshot = (#filePath as NSString).deletingLastPathComponent + "/Fixtures/catalog.txt"

    @Test("a new database and one of migration 16 with rows in it end in the same schema, the recorded one")
    func sameCatalog() async throws {
        let new = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let old = Pool(url: try await TestPostgres.makeOldDatabase(), size: 1)
        let changes = try await GatewaySchema.migrator.apply(to: old, deadline: .after(.seconds(60)))
        #expect(changes.first == .migrated(number: 17, name: "failed_runs"))
        let fresh = try await Catalog(new)
        let migrated = try await Catalog(old)
        #expect(migrated.outline == fresh.outline)
        #expect(migrated.bodies == fresh.bodies)
        let record = "SELECT number, name, checksum FROM gateway.migration ORDER BY number"
        #expect(try await new.rows(record) == old.rows(record))
        let numbers = Array(1...16) + GatewaySchema.migrator.migrations.map(\.number)
        #expect(
            try await new.rows("SELECT number FROM gateway.migration ORDER BY number") == numbers.map { "(\($0))" })
        await new.close()
        await old.close()

        let text = fresh.outline.joined(separator: "\n") + "\n"
        if ProcessInfo.processInfo.environment["LARK_GATEWAY_RECORD_CATALOG"] == "1" {
            try text.write(toFile: Self.snapshot, atomically: true, encoding: .utf8)
        }
        let recorded = try String(contentsOfFile: Self.snapshot, encoding: .utf8)
        let difference = text.split(separator: "\n").difference(from: recorded.split(separator: "\n"))
        #expect(
            difference.isEmpty,
            """
            \(difference)
            Where this is what was meant: LARK_GATEWAY_RECORD_CATALOG=1 scripts/test --filter SchemaUpgradeTests writes \
            \(Self.snapshot)
            """)
    }

    @Test("a database that got the first texts of migrations 17 and 18 is brought up to date like any other")
    func formerTexts() async throws {
        let pool = Pool(url: try await TestPostgres.makeOldDatabase(), size: 1)
        try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(60)))
        // As those versions left it, but for what later migrations have changed since.
        try await pool.run("DROP TABLE gateway.definition")
        try await pool.run("DELETE FROM gateway.migration WHERE number = 19")
        try await pool.run(
            """
            UPDATE gateway.migration
            SET checksum = CASE number WHEN 17 THEN -6984319631437601544 ELSE 3246774317425322288 END
            WHERE number IN (17, 18)
            """)
        try await pool.run(
            """
            CREATE FUNCTION gateway.hand_out(p_task gateway.agent_task, p_worker text, p_lease interval) RETURNS void
            LANGUAGE sql AS ''
            """)
        try await pool.run(
            """
            CREATE FUNCTION gateway.choose_leases(text, text[], text[], text[], bigint[], interval, interval) RETURNS void
            LANGUAGE sql AS ''
            """)
        let changes = try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(60)))
        #expect(changes.first == .migrated(number: 19, name: "superseded_functions"))
        let new = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let fresh = try await Catalog(new)
        let migrated = try await Catalog(pool)
        #expect(migrated.outline == fresh.outline)
        await pool.close()
        await new.close()
    }

    @Test("no function stands twice in the schema, but for an older signature beside its successor, NAME and NAME_v2")
    func overloads() async throws {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let twice = try await pool.rows(
            """
            SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'gateway'::regnamespace
            GROUP BY p.proname HAVING count(*) > 1
            """)
        #expect(twice == [])
        await pool.close()
    }
}
