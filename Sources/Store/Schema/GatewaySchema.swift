import Postgres

/// The schema `gateway`: its current tables and functions, and the migrations that bring older databases there.
package enum GatewaySchema {
    package static let migrator = Migrator(
        schema: "gateway", tables: tables, folded: folded, migrations: migrations, definitions: definitions,
        revision: revision,
        // "larkgate" in ASCII.
        lockKey: 0x6c61_726b_6761_7465)

    /// SQL/schema, in an order in which tables come after those that they refer to.
    private static let tables = [
        PackageResources.installations_sql, PackageResources.members_sql, PackageResources.conversations_sql,
        PackageResources.queue_sql, PackageResources.outbox_sql, PackageResources.companions_sql,
        PackageResources.issues_sql,
    ].map { String(decoding: $0, as: UTF8.self) }

    /// SQL/migrations.
    private static let migrations = [
        // The former texts of these two had functions in them.
        migration(
            17, "failed_runs", PackageResources._17_failed_runs_sql, formerChecksums: [-6984319631437601544]),
        migration(
            18, "undelivered_replies", PackageResources._18_undelivered_replies_sql,
            formerChecksums: [3246774317425322288]),
        migration(19, "superseded_functions", PackageResources._19_superseded_functions_sql),
    ]

    /// The first sixteen migrations. What they made is part of SQL/schema and SQL/functions.
    private static let folded = [
        FoldedMigration(1, "tables", 1936467615968550147),
        FoldedMigration(2, "ingest", -4138297829763270365),
        FoldedMigration(3, "windows", 1706047122033919293),
        FoldedMigration(4, "tasks", -4691470652455459524),
        FoldedMigration(5, "leases_and_outbox", -6966962084734034310),
        FoldedMigration(6, "configuration", -5202172864372771011),
        FoldedMigration(7, "set_based", -8266533460476915328),
        FoldedMigration(8, "hub", 829546386676891201),
        FoldedMigration(9, "administration", -3141400009735969493),
        FoldedMigration(10, "chat", 5061291006705400839),
        FoldedMigration(11, "outbox", -691524405943014862),
        FoldedMigration(12, "progress", 4068190205068185816),
        FoldedMigration(13, "taking_in_turns", 275966985094337398),
        FoldedMigration(14, "pairing", 5923416418358714765),
        FoldedMigration(15, "outbox_walk", 6877852373064555669),
        FoldedMigration(16, "lost_answers", 6588621805040174076),
    ]

    private static func migration(
        _ number: Int, _ name: String, _ text: [UInt8], formerChecksums: [Int64] = []
    ) -> Migration {
        Migration(
            number: number, name: name, sql: String(decoding: text, as: UTF8.self), formerChecksums: formerChecksums)
    }
}
