import AsyncRuntime

/// Brings a schema up to date: tables by numbered migrations, functions by their current texts.
///
/// - A new database gets the current tables (`tables`) and the record of all migrations, as if they had been applied.
/// - A database that has the folded migrations gets those of `migrations` that it lacks.
/// - Then each definition whose text differs from the one in the database is applied.
/// - Then the rights are set, as a function that was just made is everybody's.
///
/// All of it happens in one transaction, under an advisory lock: replicas that start together apply it once, and a
/// program that is killed in between leaves nothing. Waits for table locks are short, so that running replicas are not
/// held up behind them; after one the transaction begins again.
package struct Migrator: Sendable {
    /// The schema that holds the tables, and the record of what was applied: `<schema>.migration`,
    /// `<schema>.definition`.
    private let schema: String
    /// Scripts that make the current tables in an empty schema, in this order.
    private let tables: [Statement]
    /// Migrations whose texts are no longer part of the program: a database needs all of them, and a new one gets the
    /// record alone.
    private let folded: [RecordedMigration]
    package let migrations: [Migration]
    package let definitions: [Definition]
    /// Grows with every change of the definitions.
    package let revision: Int
    /// Sets the rights to the schema; repeated after each change of it.
    private let rights: Statement?
    /// Any number that no other program on the same server uses.
    private let lockKey: Int64

    package init(
        schema: String, tables: [Statement] = [], folded: [RecordedMigration] = [], migrations: [Migration],
        definitions: [Definition] = [], revision: Int = 0, rights: Statement? = nil, lockKey: Int64
    ) {
        self.schema = schema
        self.tables = tables
        self.folded = folded
        self.migrations = migrations.sorted { $0.number < $1.number }
        self.definitions = definitions
        self.revision = revision
        self.rights = rights
        self.lockKey = lockKey
    }

    /// Applies what is missing.
    /// - Returns: what was done now; empty where the schema is up to date.
    /// - Throws: `MigrationError`, `PostgresError`; then nothing was changed.
    @discardableResult
    package func apply(to pool: Pool, deadline: Deadline) async throws -> [SchemaChange] {
        try await pool.withConnection(deadline: deadline) { connection in
            let session = MigrationSession(connection: connection, schema: schema, deadline: deadline)
            guard try await !plan(session).changes.isEmpty else { return [] }
            try await session.query("migration_lock", "SELECT pg_advisory_lock($1)", [.int(lockKey)])
            do {
                let changes = try await session.retryingLocks { try await applyMissing(session) }
                try await session.query("migration_unlock", "SELECT pg_advisory_unlock($1)", [.int(lockKey)])
                return changes
            } catch {
                // The lock belongs to the session: end it rather than guess in which state it is.
                await connection.close()
                throw error
            }
        }
    }

    /// What `apply` would do, without doing it.
    /// - Throws: as `apply`.
    package func missing(in pool: Pool, deadline: Deadline) async throws -> [SchemaChange] {
        try await pool.withConnection(deadline: deadline) { connection in
            try await plan(MigrationSession(connection: connection, schema: schema, deadline: deadline)).changes
        }
    }

    /// What a database lacks.
    private struct Plan {
        var isNew = false
        var migrations: [Migration] = []
        var definitions: [Definition] = []
        /// Also where a function is gone, or the revision alone has changed.
        var recordsDefinitions = false
        var changes: [SchemaChange] = []
    }

    private func plan(_ session: MigrationSession) async throws -> Plan {
        let record = try await session.record()
        var plan = Plan()
        plan.isNew = record.migrations.isEmpty
        let newest = max(folded.map(\.number).max() ?? 0, migrations.last?.number ?? 0)
        if plan.isNew {
            plan.changes.append(.created(migration: newest))
        } else {
            plan.migrations = try missingMigrations(record.migrations)
            plan.changes += plan.migrations.map { .migrated(number: $0.number, name: $0.name) }
        }
        if let last = record.revision, last > revision {
            throw MigrationError.olderProgram(revision: revision, databaseRevision: last)
        }
        plan.definitions = definitions.filter { record.definitions[$0.name] != $0.checksum }
        let isCurrent = record.revision == revision && Set(record.definitions.keys) == Set(definitions.map(\.name))
        if !plan.definitions.isEmpty || !definitions.isEmpty && !isCurrent {
            plan.recordsDefinitions = true
            plan.changes.append(.defined(functions: plan.definitions.count, revision: revision))
        }
        return plan
    }

    private func missingMigrations(_ applied: [RecordedMigration]) throws -> [Migration] {
        for row in applied {
            if let known = folded.first(where: { $0.number == row.number }) {
                guard known.checksum == row.checksum else {
                    throw MigrationError.edited(number: row.number, name: known.name)
                }
            } else if let known = migrations.first(where: { $0.number == row.number }) {
                guard known.checksum == row.checksum || known.formerChecksums.contains(row.checksum) else {
                    throw MigrationError.edited(number: row.number, name: known.name)
                }
            } else {
                throw MigrationError.unknown(number: row.number, name: row.name)
            }
        }
        let numbers = Set(applied.map(\.number))
        if let baseline = folded.map(\.number).max(), folded.contains(where: { !numbers.contains($0.number) }) {
            throw MigrationError.tooOld(number: numbers.max() ?? 0, baseline: baseline)
        }
        return migrations.filter { !numbers.contains($0.number) }
    }

    private func applyMissing(_ session: MigrationSession) async throws -> [SchemaChange] {
        // Again: another replica may have been faster.
        let plan = try await plan(session)
        guard !plan.changes.isEmpty else { return [] }
        try await session.transaction {
            try await session.makeRecord()
            if plan.isNew {
                for script in tables { try await session.execute(script.sql, name: script.name) }
                for migration in folded {
                    try await session.recordMigration(migration.number, migration.name, migration.checksum)
                }
            }
            for migration in plan.isNew ? migrations : plan.migrations {
                // The tables of a new database are as the migrations left them.
                if !plan.isNew || tables.isEmpty {
                    try await session.execute(migration.sql, name: "migration \(migration.name)")
                }
                try await session.recordMigration(migration.number, migration.name, migration.checksum)
            }
            for definition in plan.definitions {
                try await session.execute(definition.sql, name: "definition \(definition.name)")
            }
            if let rights { try await session.execute(rights.sql, name: rights.name) }
            if plan.recordsDefinitions { try await session.record(definitions, applied: plan.definitions, revision) }
        }
        return plan.changes
    }
}
