import AsyncRuntime

/// The roles of a private server. The one that the gateway and its workers use owns the database, and is no superuser:
/// it can neither read files nor run programs. What only a superuser may do is done here, at each start.
///
/// In versions before, the gateway's role was the superuser that initdb makes. Such a cluster is brought to the same
/// roles. Every step can be repeated, so a start that is killed in between is finished by the next one.
struct ServerRoles: Sendable {
    static let gateway = "lark_gateway"
    /// The superuser that initdb makes. Only a start uses it.
    static let admin = "lark_gateway_admin"
    /// Exists for a moment: a role can't rename itself.
    private static let mover = "lark_gateway_mover"
    static let all = [gateway, admin, mover]

    let socket: String
    let database: String
    /// For tests, which terminate backends and make databases.
    let isForTests: Bool
    /// Each user's role may do nothing until it is given a runtime (worker-role).
    var workers: WorkerDoors?

    func bringUpToDate(deadline: Deadline) async throws {
        if try await !hasAdmin(deadline) {
            guard try await makeAdmin(deadline) else { return }
        }
        let isWritable = try await with(Self.admin, on: "postgres", deadline) { admin in
            guard try await takesWrites(admin, deadline) else { return false }
            try await bringRole(admin, deadline)
            try await bringDatabase(admin, deadline)
            for user in workers?.users ?? [] { try await bringWorker(user, admin, deadline) }
            return true
        }
        guard isWritable else { return }
        try await with(Self.admin, on: database, deadline) { admin in
            try await admin.execute(script: Self.handOver, name: "hand_over", deadline: deadline)
            guard workers != nil else { return }
            try await admin.execute(script: Self.closedToWorkers, name: "close_to_workers", deadline: deadline)
        }
    }

    private func bringRole(_ admin: Connection, _ deadline: Deadline) async throws {
        let wanted = isForTests ? "SUPERUSER" : "NOSUPERUSER"
        let role = try await query(
            admin, "find_role", "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = $1", [.text(Self.gateway)],
            deadline)
        if let row = role.first {
            if try row.value("rolsuper", as: Bool.self) != isForTests {
                try await query(admin, "alter_role", "ALTER ROLE \(Self.gateway) \(wanted)", [], deadline)
            }
        } else {
            try await query(admin, "create_role", "CREATE ROLE \(Self.gateway) LOGIN \(wanted)", [], deadline)
        }
        try await query(admin, "drop_role", "DROP ROLE IF EXISTS \(Self.mover)", [], deadline)
    }

    private func bringDatabase(_ admin: Connection, _ deadline: Deadline) async throws {
        let found = try await query(
            admin, "find_database",
            "SELECT pg_catalog.pg_get_userbyid(datdba)::text AS owner FROM pg_catalog.pg_database WHERE datname = $1",
            [.text(database)], deadline)
        guard let row = found.first else {
            try await query(
                admin, "create_database", "CREATE DATABASE \(database) OWNER \(Self.gateway)", [], deadline)
            return
        }
        if try row.value("owner", as: String.self) != Self.gateway {
            try await query(
                admin, "own_database", "ALTER DATABASE \(database) OWNER TO \(Self.gateway)", [], deadline)
        }
    }

    /// The bound on files is the administrator's to set: the role can't raise it.
    private func bringWorker(_ user: String, _ admin: Connection, _ deadline: Deadline) async throws {
        let found = try await query(
            admin, "find_role", "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = $1", [.text(user)], deadline)
        let script = try await query(
            admin, "worker_role",
            """
            SELECT concat_ws('; ', CASE WHEN $2 = 0 THEN format('CREATE ROLE %I', $1) END,
                format('ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS'
                    ' CONNECTION LIMIT %s', $1, $3),
                format('ALTER ROLE %I SET temp_file_limit = %L', $1, '64MB'),
                -- So that the gateway may end its sessions.
                format('GRANT %I TO %I', $1, $4)) AS change
            """,
            [
                .text(user), .int(Int64(found.count)), .int(Int64(workers?.connectionLimit ?? 1)), .text(Self.gateway),
            ], deadline)
        guard let text = try script.first?.value("change", as: String.self) else { return }
        try await admin.execute(script: text, name: "worker_role", deadline: deadline)
    }

    /// Everybody may make temporary tables, large objects, and before Postgres 15 tables in public: a worker that was
    /// talked into it would fill the disk. The gateway needs none of it from PUBLIC.
    private static let closedToWorkers = """
        REVOKE TEMPORARY ON DATABASE \(PrivatePostgres.databaseName) FROM PUBLIC;
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
            pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;
        """

    /// REASSIGN OWNED does not work for the superuser of initdb, so one by one: what is in the database, and not the
    /// system's own. Changes nothing where all is the gateway's. A superuser looks for no name in others' schemas.
    private static let handOver = """
        SET search_path = pg_catalog, pg_temp;
        DO $$
        DECLARE
            item record;
        BEGIN
            FOR item IN
                SELECT format('ALTER SCHEMA %I', n.nspname) AS change FROM pg_namespace n
                WHERE n.nspowner <> to_regrole('\(gateway)') AND n.nspname !~ '^pg_'
                  AND n.nspname NOT IN ('information_schema', 'public')
                UNION ALL
                SELECT format('ALTER %s %s',
                    CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                        WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.oid::regclass)
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relowner <> to_regrole('\(gateway)') AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
                  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                  -- What belongs to an extension, and sequences that go with their table's column.
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')))
                UNION ALL
                SELECT format('ALTER ROUTINE %s', p.oid::regprocedure)
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                WHERE p.proowner <> to_regrole('\(gateway)')
                  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.deptype = 'e')
                UNION ALL
                SELECT format('ALTER TYPE %s', t.oid::regtype)
                FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
                WHERE t.typowner <> to_regrole('\(gateway)') AND t.typtype IN ('e', 'd', 'r')
                  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                      AND d.deptype = 'e')
            LOOP
                EXECUTE item.change || ' OWNER TO \(gateway)';
            END LOOP;
        END $$
        """

    // MARK: A cluster of before

    private func hasAdmin(_ deadline: Deadline) async throws -> Bool {
        do {
            return try await with(Self.admin, on: "postgres", deadline) { _ in true }
        } catch PostgresError.connection(let reason) where reason.contains("role \"\(Self.admin)\" does not exist") {
            return false
        }
    }

    /// The superuser gets another name, and the gateway a new role of the old one's name, in one transaction.
    /// - Returns: false where the server takes no writes.
    private func makeAdmin(_ deadline: Deadline) async throws -> Bool {
        let isWritable = try await with(Self.gateway, on: "postgres", deadline) { old in
            guard try await takesWrites(old, deadline) else { return false }
            try await query(old, "drop_role", "DROP ROLE IF EXISTS \(Self.mover)", [], deadline)
            try await query(old, "create_role", "CREATE ROLE \(Self.mover) SUPERUSER LOGIN", [], deadline)
            return true
        }
        guard isWritable else { return false }
        let rename = """
            SET search_path = pg_catalog, pg_temp;
            ALTER ROLE \(Self.gateway) RENAME TO \(Self.admin);
            CREATE ROLE \(Self.gateway) LOGIN;
            """
        try await with(Self.mover, on: "postgres", deadline) { mover in
            try await mover.execute(script: rename, name: "rename_role", deadline: deadline)
        }
        return true
    }

    /// A standby has the roles of its primary.
    private func takesWrites(_ connection: Connection, _ deadline: Deadline) async throws -> Bool {
        try Writability(try await connection.query(Writability.statement, deadline: deadline)) == .writable
    }

    // MARK: Connections

    private func with<T: Sendable>(
        _ role: String, on database: String, _ deadline: Deadline, _ body: (Connection) async throws -> T
    ) async throws -> T {
        let connection = try await Connection.connect(
            to: "host='\(socket)' port=5432 dbname=\(database) user=\(role)", applicationName: "lark-gateway start",
            deadline: deadline)
        do {
            let result = try await body(connection)
            await connection.close()
            return result
        } catch {
            await connection.close()
            throw error
        }
    }

    @discardableResult
    private func query(
        _ connection: Connection, _ name: String, _ sql: String, _ values: [PostgresValue], _ deadline: Deadline
    ) async throws -> Rows {
        try await connection.query(
            Statement(name: name, sql: sql, isPrepared: false), values, deadline: deadline)
    }
}
