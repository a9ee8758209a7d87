import AsyncRuntime

/// The connection that a schema is brought up to date with, and what the schema records of it.
struct MigrationSession: Sendable {
    let connection: Connection
    let schema: String
    let deadline: Deadline

    /// What was applied to a database.
    struct Record {
        var migrations: [RecordedMigration] = []
        /// Checksums by name.
        var definitions: [String: Int64] = [:]
        /// Of the definitions; nil where there are none.
        var revision: Int?
    }

    @discardableResult
    func query(_ name: String, _ sql: String, _ values: [PostgresValue] = []) async throws -> Rows {
        try await connection.query(
            Statement(name: name, sql: sql, isPrepared: false), values, deadline: deadline)
    }

    func execute(_ script: String, name: String) async throws {
        try await connection.execute(script: script, name: name, deadline: deadline)
    }

    func record() async throws -> Record {
        var record = Record()
        if try await exists("migration") {
            record.migrations = try await query(
                "migration_list", "SELECT number, name, checksum FROM \(schema).migration ORDER BY number"
            ).map { RecordedMigration(try $0.value("number"), try $0.value("name"), try $0.value("checksum")) }
        }
        if try await exists("definition") {
            for row in try await query("definition_list", "SELECT name, checksum, revision FROM \(schema).definition") {
                record.definitions[try row.value("name")] = try row.value("checksum", as: Int64.self)
                record.revision = max(record.revision ?? 0, try row.value("revision"))
            }
        }
        return record
    }

    private func exists(_ table: String) async throws -> Bool {
        try await query("table_exists", "SELECT to_regclass($1) IS NOT NULL AS found", [.text("\(schema).\(table)")])[0]
            .value("found")
    }

    /// The schema is not made where it exists: IF NOT EXISTS would need the right to make one all the same.
    func makeRecord() async throws {
        let hasSchema = try await query(
            "schema_exists", "SELECT to_regnamespace($1) IS NOT NULL AS found", [.text(schema)])[0]
        if try !hasSchema.value("found", as: Bool.self) {
            try await execute("CREATE SCHEMA \(schema)", name: "migration_schema")
        }
        try await execute(
            """
            CREATE TABLE IF NOT EXISTS \(schema).migration (
                number int PRIMARY KEY, name text NOT NULL, checksum bigint NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now());
            CREATE TABLE IF NOT EXISTS \(schema).definition (
                name text PRIMARY KEY, checksum bigint NOT NULL, revision int NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now());
            """, name: "migration_record")
    }

    func recordMigration(_ number: Int, _ name: String, _ checksum: Int64) async throws {
        try await query(
            "migration_applied", "INSERT INTO \(schema).migration (number, name, checksum) VALUES ($1, $2, $3)",
            [.int(Int64(number)), .text(name), .int(checksum)])
    }

    /// - Parameter all: every definition of this program, all of them of this revision from now on; others are
    /// forgotten.
    func record(_ all: [Definition], applied: [Definition], _ revision: Int) async throws {
        try await query(
            "definitions_applied",
            """
            INSERT INTO \(schema).definition (name, checksum, revision)
            SELECT r.name, r.checksum, $3 FROM unnest($1, $2) AS r (name, checksum)
            ON CONFLICT (name) DO UPDATE SET checksum = EXCLUDED.checksum, applied_at = EXCLUDED.applied_at
            """,
            [.textArray(applied.map(\.name)), .intArray(applied.map(\.checksum)), .int(Int64(revision))])
        try await query(
            "definitions_revision", "UPDATE \(schema).definition SET revision = $1 WHERE revision <> $1",
            [.int(Int64(revision))])
        try await query(
            "definitions_gone", "DELETE FROM \(schema).definition WHERE name <> ALL ($1)",
            [.textArray(all.map(\.name))])
    }

    func transaction(_ body: () async throws -> Void) async throws {
        try await query("begin", "BEGIN")
        do {
            // Shorter than the lock timeout of those that wait behind us, and than deadlock_timeout. A function's body
            // may call one that comes later.
            try await execute(
                "SET LOCAL lock_timeout = '\(Self.lockTimeout.milliseconds)ms'; SET LOCAL check_function_bodies = off",
                name: "migration_settings")
            try await body()
            try await query("commit", "COMMIT")
        } catch {
            _ = try? await query("rollback", "ROLLBACK")
            throw error
        }
    }

    private static let lockTimeout: Duration = .milliseconds(400)

    /// Begins again where other sessions held locks, until the deadline.
    func retryingLocks<T>(_ body: () async throws -> T) async throws -> T {
        var backoff = Backoff(initial: .milliseconds(200), maximum: .seconds(2))
        var blocked: MigrationError?
        while true {
            do {
                return try await body()
            } catch PostgresError.statement(let error) where error.isLockTimeout || error.sqlState == "40P01" {
                let (wait, failure) = (backoff.next(), MigrationError.blocked(error.statement))
                guard deadline.remaining > wait else { throw failure }
                blocked = failure
                await Alarm.wait(until: .after(wait))
                try Task.checkCancellation()
            } catch PostgresError.deadlineExceeded(let statement) {
                // The last attempt did not have the time that a lock timeout takes.
                throw blocked ?? PostgresError.deadlineExceeded(statement: statement)
            }
        }
    }
}
