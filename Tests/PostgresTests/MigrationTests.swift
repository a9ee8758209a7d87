import AsyncRuntime
import Postgres
import TestSupport
import Testing

@Suite("Migrations")
struct MigrationTests {
    private let deadline = Deadline.after(.seconds(30))

    private func migrator(
        _ migrations: [Migration], tables: [Statement] = [], folded: [RecordedMigration] = [],
        definitions: [Definition] = [], revision: Int = 1
    ) -> Migrator {
        Migrator(
            schema: "app", tables: tables, folded: folded, migrations: migrations, definitions: definitions,
            revision: revision, lockKey: 42)
    }

    private func function(_ name: String, returning value: Int) -> Definition {
        Definition(
            name: name, sql: "CREATE OR REPLACE FUNCTION app.\(name)() RETURNS int LANGUAGE sql AS 'SELECT \(value)'")
    }

    @Test("each is applied once, also by two replicas that start together; an edited one is refused")
    func once() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 4)
        let one = Migration(number: 1, name: "one", sql: "CREATE TABLE app.a (x int)")
        let two = Migration(number: 2, name: "two", sql: "INSERT INTO app.a VALUES (1); INSERT INTO app.a VALUES (2)")
        #expect(try await migrator([one, two]).missing(in: pool, deadline: deadline) == [.created(migration: 2)])
        async let first = migrator([one, two]).apply(to: pool, deadline: deadline)
        async let second = migrator([one, two]).apply(to: pool, deadline: deadline)
        #expect(try await first + second == [.created(migration: 2)])
        #expect(try await pool.rows("SELECT count(*) FROM app.a") == ["(2)"])
        #expect(try await migrator([one, two]).missing(in: pool, deadline: deadline).isEmpty)

        let edited = Migration(number: 2, name: "two", sql: "SELECT 1")
        await #expect(throws: MigrationError.edited(number: 2, name: "two")) {
            try await migrator([one, edited]).apply(to: pool, deadline: deadline)
        }
        await #expect(throws: MigrationError.unknown(number: 2, name: "two")) {
            try await migrator([one]).apply(to: pool, deadline: deadline)
        }
        let rewritten = Migration(
            number: 2, name: "two", sql: "SELECT 1", formerChecksums: [Definition(name: "", sql: two.sql).checksum])
        #expect(try await migrator([one, rewritten]).apply(to: pool, deadline: deadline).isEmpty)
        await pool.close()
    }

    @Test("one that fails leaves nothing of itself nor of those before it, and the lock free")
    func failing() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 2)
        let good = Migration(number: 1, name: "good", sql: "CREATE TABLE app.b (x int)")
        let bad = Migration(number: 2, name: "bad", sql: "CREATE TABLE app.c (x int); SELECT 1/0")
        await #expect(throws: PostgresError.self) {
            try await migrator([good, bad]).apply(to: pool, deadline: deadline)
        }
        #expect(try await pool.rows("SELECT to_regclass('app.b') IS NULL") == ["(t)"])
        #expect(try await migrator([good]).apply(to: pool, deadline: deadline) == [.created(migration: 1)])
        await pool.close()
    }

    @Test("a new database gets the current tables, an older one what it lacks, and both have the same record")
    func tables() async throws {
        let folded = RecordedMigration(1, "one", 11)
        let two = Migration(number: 2, name: "two", sql: "ALTER TABLE app.a ADD y int")
        let migrator = migrator(
            [two], tables: [Statement(name: "tables", sql: "CREATE TABLE app.a (x int, y int)")], folded: [folded])
        var columns: [[String]] = []
        var records: [[String]] = []
        for isNew in [true, false] {
            let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1)
            if !isNew {
                try await pool.run("CREATE SCHEMA app")
                try await pool.run("CREATE TABLE app.a (x int)")
                try await pool.run(
                    """
                    CREATE TABLE app.migration (number int PRIMARY KEY, name text NOT NULL, checksum bigint NOT NULL,
                        applied_at timestamptz NOT NULL DEFAULT now())
                    """)
                try await pool.run("INSERT INTO app.migration VALUES (1, 'one', 11)")
            }
            let expected: [SchemaChange] = isNew ? [.created(migration: 2)] : [.migrated(number: 2, name: "two")]
            #expect(try await migrator.missing(in: pool, deadline: deadline) == expected)
            #expect(try await migrator.apply(to: pool, deadline: deadline) == expected)
            columns.append(
                try await pool.rows(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'app.a'::regclass AND attnum > 0 ORDER BY attnum"
                ))
            records.append(try await pool.rows("SELECT number, name, checksum FROM app.migration ORDER BY number"))
            await pool.close()
        }
        #expect(columns[0] == columns[1])
        #expect(records[0] == records[1])
        #expect(records[0].count == 2)
    }

    @Test("a database that is older than what this version can start from is refused, with the number that it has")
    func tooOld() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1)
        let one = Migration(number: 1, name: "one", sql: "CREATE TABLE app.a (x int)")
        try await migrator([one]).apply(to: pool, deadline: deadline)
        let folded = [
            RecordedMigration(1, "one", Definition(name: "", sql: one.sql).checksum), RecordedMigration(2, "two", 22),
        ]
        let newer = migrator([Migration(number: 3, name: "three", sql: "SELECT 1")], folded: folded)
        await #expect(throws: MigrationError.tooOld(number: 1, baseline: 2)) {
            try await newer.apply(to: pool, deadline: deadline)
        }
        await pool.close()
    }

    @Test("functions get their current texts, and only those that have changed")
    func definitions() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1)
        let one = Migration(number: 1, name: "one", sql: "CREATE TABLE app.t (x int)")
        // `a` calls `b`, which comes later.
        let caller = Definition(
            name: "a", sql: "CREATE OR REPLACE FUNCTION app.a() RETURNS int LANGUAGE sql AS 'SELECT app.b()'")
        let first = migrator([one], definitions: [caller, function("b", returning: 1)])
        #expect(
            try await first.apply(to: pool, deadline: deadline)
                == [.created(migration: 1), .defined(functions: 2, revision: 1)])
        #expect(try await first.apply(to: pool, deadline: deadline).isEmpty)
        #expect(try await pool.rows("SELECT app.a()") == ["(1)"])

        let second = migrator([one], definitions: [caller, function("b", returning: 2)], revision: 2)
        #expect(
            try await second.apply(to: pool, deadline: deadline) == [.defined(functions: 1, revision: 2)])
        #expect(try await pool.rows("SELECT app.a()") == ["(2)"])
        #expect(try await pool.rows("SELECT DISTINCT revision FROM app.definition") == ["(2)"])
        await pool.close()
    }

    @Test("a program of an older revision puts no function back, and says so; also where a function is only gone")
    func olderProgram() async throws {
        let pool = Pool(url: try await TestPostgres.makeEmptyDatabase(), size: 1)
        let one = Migration(number: 1, name: "one", sql: "CREATE TABLE app.t (x int)")
        let old = migrator([one], definitions: [function("a", returning: 1), function("b", returning: 1)])
        try await old.apply(to: pool, deadline: deadline)
        try await migrator([one], definitions: [function("a", returning: 1)], revision: 2)
            .apply(to: pool, deadline: deadline)
        let refusal = MigrationError.olderProgram(revision: 1, databaseRevision: 2)
        await #expect(throws: refusal) { try await old.apply(to: pool, deadline: deadline) }
        await #expect(throws: refusal) { try await old.missing(in: pool, deadline: deadline) }
        #expect(refusal.description.contains("revision 2"))
        #expect(try await pool.rows("SELECT name FROM app.definition") == ["(a)"])
        await pool.close()
    }

    @Test("a migration lets go of its locks while another session holds a table, and is applied when that one ends")
    func blocked() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let pool = Pool(url: url, size: 4)
        let one = Migration(number: 1, name: "one", sql: "CREATE TABLE app.a (x int); CREATE TABLE app.b (x int)")
        try await migrator([one]).apply(to: pool, deadline: deadline)
        let two = Migration(number: 2, name: "two", sql: "ALTER TABLE app.a ADD y int; ALTER TABLE app.b ADD y int")

        let held = try await Connection.connect(to: url, applicationName: "holder", deadline: deadline)
        try await held.execute(
            script: "BEGIN; LOCK TABLE app.b IN ROW EXCLUSIVE MODE", name: "hold", deadline: deadline)
        await #expect(throws: MigrationError.self) {
            try await migrator([one, two]).apply(to: pool, deadline: .after(.seconds(2)))
        }
        async let applied = migrator([one, two]).apply(to: pool, deadline: deadline)
        // It has failed at least once, and other sessions can use what it had locked.
        #expect(
            try await eventually {
                try await pool.rows(
                    "SELECT count(*) FROM pg_locks WHERE relation = 'app.b'::regclass AND NOT granted") == ["(1)"]
            })
        try await pool.run("INSERT INTO app.a VALUES (1)")
        try await held.execute(script: "COMMIT", name: "release", deadline: deadline)
        #expect(try await applied == [.migrated(number: 2, name: "two")])
        await held.close()
        await pool.close()
    }
}
