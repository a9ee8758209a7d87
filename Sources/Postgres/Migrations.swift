import AsyncRuntime

/// One numbered change of the schema, applied once, in a transaction of its own, and never edited once landed.
package struct Migration: Sendable {
    package let number: Int
    package let name: String
    package let sql: String

    package init(number: Int, name: String, sql: String) {
        self.number = number
        self.name = name
        self.sql = sql
    }

    /// FNV-1a, 64 bits: it finds an edit, it keeps out nobody.
    var checksum: Int64 {
        Int64(
            bitPattern: sql.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 })
    }
}

/// A schema that this program can't work with.
package enum MigrationError: Error, Sendable, CustomStringConvertible {
    case edited(Migration)
    case unknown(number: Int, name: String)

    package var description: String {
        switch self {
        case .edited(let migration):
            "migration \(migration.number) (\(migration.name)) was edited after it had been applied to this database: "
                + "restore its text, and put the change into a new migration"
        case .unknown(let number, let name):
            "this database has migration \(number) (\(name)), which this version does not know: install the version "
                + "that made it, or a newer one"
        }
    }
}

/// Brings a schema up to date.
package struct Migrator: Sendable {
    /// The schema that holds the record of what was applied, `<schema>.migration`.
    private let schema: String
    package let migrations: [Migration]
    /// Any number that no other program on the same server uses.
    private let lockKey: Int64

    package init(schema: String, migrations: [Migration], lockKey: Int64) {
        self.schema = schema
        self.migrations = migrations.sorted { $0.number < $1.number }
        self.lockKey = lockKey
    }

    /// Applies what is missing, under an advisory lock, so that replicas that start together apply each once.
    /// - Returns: the migrations that were applied now.
    /// - Throws: `MigrationError`, `PostgresError`.
    @discardableResult
    package func apply(to pool: Pool, deadline: Deadline) async throws -> [Migration] {
        try await pool.withConnection(deadline: deadline) { connection in
            func run(_ name: String, _ sql: String, _ values: [PostgresValue] = []) async throws -> Rows {
                try await connection.query(
                    Statement(name: name, sql: sql, isPrepared: false), values, deadline: deadline)
            }
            _ = try await run("migration_lock", "SELECT pg_advisory_lock($1)", [.int(lockKey)])
            do {
                let applied = try await applyMissing(on: connection, deadline, run)
                _ = try await run("migration_unlock", "SELECT pg_advisory_unlock($1)", [.int(lockKey)])
                return applied
            } catch {
                // The lock belongs to the session: end it rather than guess in which state it is.
                await connection.close()
                throw error
            }
        }
    }

    /// What `apply` would do, without doing it.
    package func missing(in pool: Pool, deadline: Deadline) async throws -> [Migration] {
        let exists = Statement(
            name: "migration_table_exists", sql: "SELECT to_regclass($1) IS NOT NULL AS found", isPrepared: false)
        let found: Bool = try await pool.query(exists, [.text("\(schema).migration")], deadline: deadline)[0].value(
            "found")
        guard found else { return migrations }
        let list = Statement(name: "migration_list", sql: listSQL, isPrepared: false)
        return try compare(try await pool.query(list, deadline: deadline))
    }

    private var listSQL: String { "SELECT number, name, checksum FROM \(schema).migration ORDER BY number" }

    private func compare(_ rows: Rows) throws -> [Migration] {
        var applied: Set<Int> = []
        for row in rows {
            let number: Int = try row.value("number")
            guard let migration = migrations.first(where: { $0.number == number }) else {
                throw MigrationError.unknown(number: number, name: try row.value("name"))
            }
            guard try row.value("checksum") == migration.checksum else { throw MigrationError.edited(migration) }
            applied.insert(number)
        }
        return migrations.filter { !applied.contains($0.number) }
    }

    private func applyMissing(
        on connection: Connection, _ deadline: Deadline,
        _ run: (String, String, [PostgresValue]) async throws -> Rows
    ) async throws -> [Migration] {
        _ = try await run("migration_schema", "CREATE SCHEMA IF NOT EXISTS \(schema)", [])
        _ = try await run(
            "migration_table",
            """
            CREATE TABLE IF NOT EXISTS \(schema).migration (
                number int PRIMARY KEY, name text NOT NULL, checksum bigint NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now())
            """, [])
        let missing = try compare(try await run("migration_list", listSQL, []))
        for migration in missing {
            _ = try await run("begin", "BEGIN", [])
            try await connection.execute(script: migration.sql, name: "migration \(migration.name)", deadline: deadline)
            _ = try await run(
                "migration_record", "INSERT INTO \(schema).migration (number, name, checksum) VALUES ($1, $2, $3)",
                [.int(Int64(migration.number)), .text(migration.name), .int(migration.checksum)])
            _ = try await run("commit", "COMMIT", [])
        }
        return missing
    }
}
