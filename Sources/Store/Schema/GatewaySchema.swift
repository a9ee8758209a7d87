import Postgres

/// The schema `gateway`: its current tables and functions, and the migrations that bring older databases there.
package enum GatewaySchema {
    package static let migrator = Migrator(
        schema: "gateway", tables: tables, folded: folded, migrations: migrations, definitions: definitions,
        revision: revision,
        rights: Statement(name: "apply_rights", sql: "SELECT gateway.apply_rights()", isPrepared: false),
        // "larkgate" in ASCII.
        lockKey: 0x6c61_726b_6761_7465)

    /// SQL/schema, in an order in which tables come after those that they refer to.
    private static let tables = [
        tables("installations", PackageResources.installations_sql),
        tables("members", PackageResources.members_sql),
        tables("conversations", PackageResources.conversations_sql),
        tables("queue", PackageResources.queue_sql),
        tables("outbox", PackageResources.outbox_sql),
        tables("companions", PackageResources.companions_sql),
        tables("issues", PackageResources.issues_sql),
        tables("administration", PackageResources.administration_sql),
    ]

    /// SQL/migrations.
    private static let migrations = [
        // The former texts of these two had functions in them.
        migration(
            17, "failed_runs", PackageResources._17_failed_runs_sql, formerChecksums: [-6984319631437601544]),
        migration(
            18, "undelivered_replies", PackageResources._18_undelivered_replies_sql,
            formerChecksums: [3246774317425322288]),
        migration(19, "superseded_functions", PackageResources._19_superseded_functions_sql),
        migration(20, "worker_roles", PackageResources._20_worker_roles_sql),
        migration(21, "trust", PackageResources._21_trust_sql),
        migration(22, "turns", PackageResources._22_turns_sql),
        migration(23, "overrides", PackageResources._23_overrides_sql),
        migration(24, "revoking_all", PackageResources._24_revoking_all_sql),
    ]

    /// The first sixteen migrations. What they made is part of SQL/schema and SQL/functions.
    private static let folded = [
        RecordedMigration(1, "tables", 1936467615968550147),
        RecordedMigration(2, "ingest", -4138297829763270365),
        RecordedMigration(3, "windows", 1706047122033919293),
        RecordedMigration(4, "tasks", -4691470652455459524),
        RecordedMigration(5, "leases_and_outbox", -6966962084734034310),
        RecordedMigration(6, "configuration", -5202172864372771011),
        RecordedMigration(7, "set_based", -8266533460476915328),
        RecordedMigration(8, "hub", 829546386676891201),
        RecordedMigration(9, "administration", -3141400009735969493),
        RecordedMigration(10, "chat", 5061291006705400839),
        RecordedMigration(11, "outbox", -691524405943014862),
        RecordedMigration(12, "progress", 4068190205068185816),
        RecordedMigration(13, "taking_in_turns", 275966985094337398),
        RecordedMigration(14, "pairing", 5923416418358714765),
        RecordedMigration(15, "outbox_walk", 6877852373064555669),
        RecordedMigration(16, "lost_answers", 6588621805040174076),
    ]

    private static func tables(_ name: String, _ text: [UInt8]) -> Statement {
        Statement(name: "tables of \(name)", sql: String(decoding: text, as: UTF8.self), isPrepared: false)
    }

    private static func migration(
        _ number: Int, _ name: String, _ text: [UInt8], formerChecksums: [Int64] = []
    ) -> Migration {
        Migration(
            number: number, name: name, sql: String(decoding: text, as: UTF8.self), formerChecksums: formerChecksums)
    }
}
