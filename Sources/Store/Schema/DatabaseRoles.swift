import AsyncRuntime
import Postgres

/// Makes the roles of a server of one's own: the gateway's, which owns the schema, one for workers and one for
/// operators. Every step can be repeated; a role that is there keeps its password and its attributes.
package struct DatabaseRoles: Sendable {
    package static let worker = "lark_gateway_worker"
    package static let operators = "lark_gateway_operator"

    /// Of an administrator, who may make roles, and the database where there is none.
    private let adminURL: String
    /// The gateway's role, and what `database_url` says of it.
    private let role: String
    private let database: String
    private let password: String?
    private let deadline: Deadline

    /// One thing that was done, or was there already.
    package enum Step: Sendable, Equatable {
        /// A statement that was executed, without a password.
        case done(String)
        case kept(String)
        case warning(String)
    }

    /// - Parameter role: the gateway's.
    /// - Parameter database: the gateway's.
    /// - Parameter password: that a new role of the gateway's gets; nil: none.
    package init(adminURL: String, role: String, database: String, password: String?, deadline: Deadline) {
        self.adminURL = adminURL
        self.role = role
        self.database = database
        self.password = password
        self.deadline = deadline
    }

    /// The administrator's URL, for the gateway's database; with `asGateway`, what is made belongs to the gateway.
    private func url(asGateway: Bool) -> String {
        var values = ConnectionText.values(adminURL) ?? [:]
        values["dbname"] = database
        if asGateway {
            // A space and a backslash would end the value (Postgres documentation, 34.1.2, options).
            let escaped = role.map { $0 == " " || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined()
            values["options"] = (values["options"].map { $0 + " " } ?? "") + "-c role=\(escaped)"
        }
        return ConnectionText.text(values)
    }

    /// Makes what is missing, brings the schema up to date, and gives the rights.
    /// - Parameter runtimes: those that the workers' role may work for.
    /// - Throws: `PostgresError`, `MigrationError`. What was done until then stays.
    package func make(runtimes: [String], report: (Step) -> Void) async throws {
        try await with(adminURL) { admin in
            try await makeRole(role, limit: nil, password: password, admin, report)
            try await makeRole(Self.worker, limit: 20, password: nil, admin, report)
            try await makeRole(Self.operators, limit: 5, password: nil, admin, report)
            if try await !holds(admin, "SELECT 1 AS one FROM pg_catalog.pg_database WHERE datname = $1", database) {
                try await change(
                    admin, "SELECT format('CREATE DATABASE %I', $1) AS change", [.text(database)], report)
            } else {
                report(.kept("the database \(database) is there"))
            }
        }
        let isBorrowed = try await with(url(asGateway: false)) { admin in
            let isBorrowed = try await borrow(admin, report)
            try await makeSchema(admin, report)
            // So that the gateway may end a worker's sessions.
            if try await !isMember(admin, role, of: Self.worker) {
                try await change(
                    admin, "SELECT format('GRANT %I TO %I', $1, $2) AS change", [.text(Self.worker), .text(role)],
                    report)
            }
            for name in [role, Self.worker, Self.operators] where try await !mayConnect(admin, name) {
                try await change(
                    admin, "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', $1, $2) AS change",
                    [.text(database), .text(name)], report)
            }
            return isBorrowed
        }
        let pool = Pool(url: url(asGateway: true), size: 1, preparesStatements: false, mustWrite: true)
        do {
            try await giveRights(Repository(pool: pool), runtimes, report)
            await pool.close()
        } catch {
            await pool.close()
            throw error
        }
        if isBorrowed {
            try await with(url(asGateway: false)) { admin in
                try await change(
                    admin, "SELECT format('REVOKE %I FROM %I', $1, current_user) AS change", [.text(role)], report)
            }
        }
    }

    private func giveRights(
        _ repository: Repository, _ runtimes: [String], _ report: (Step) -> Void
    ) async throws {
        let applied = try await GatewaySchema.migrator.apply(to: repository.pool, deadline: deadline)
        for change in applied { report(.done("\(change)")) }
        if applied.isEmpty { report(.kept("the schema is up to date")) }
        let known = try await repository.workerRoles().filter { $0.name == Self.worker }.map(\.runtime)
        for runtime in runtimes {
            try await repository.addWorkerRole(Self.worker, runtime: runtime)
            let text = "\(Self.worker) may claim tasks of runtime \(runtime) and answer them"
            report(known.contains(runtime) ? .kept(text) : .done(text))
        }
        let hadRights = try await repository.pool.query(
            Statement(
                name: "operator_rights", sql: "SELECT has_table_privilege($1, 'gateway.invitation', 'INSERT') AS found",
                isPrepared: false), [.text(Self.operators)], deadline: deadline
        ).first?.value("found", as: Bool.self)
        try await repository.addOperatorRole(Self.operators)
        let text = "\(Self.operators) has the rights of the commands"
        report(hadRights == true ? .kept(text) : .done(text))
    }

    private func makeRole(
        _ name: String, limit: Int?, password: String?, _ admin: Connection, _ report: (Step) -> Void
    ) async throws {
        let found = try await query(
            admin, "SELECT rolsuper, rolcreaterole, rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1",
            [.text(name)])
        if let row = found.first {
            report(.kept("the role \(name) is there"))
            for (attribute, isSet) in [
                ("SUPERUSER", try row.value("rolsuper", as: Bool.self)),
                ("CREATEROLE", try row.value("rolcreaterole", as: Bool.self)),
            ] where isSet {
                report(.warning("the role \(name) is \(attribute), and needs not: ALTER ROLE ... NO\(attribute)"))
            }
            return
        }
        let verifier = password.flatMap { PasswordVerifier.scram($0, for: name) }
        let shown = try await text(
            admin,
            """
            SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE%s', $1,
                CASE WHEN $2 > 0 THEN format(' CONNECTION LIMIT %s', $2) ELSE '' END) AS change
            """, [.text(name), .int(Int64(limit ?? 0))])
        guard let verifier else {
            try await admin.execute(script: shown, name: "create_role", deadline: deadline)
            report(.done(shown + (password == nil ? "" : "; its password could not be set")))
            return
        }
        let whole = try await text(
            admin, "SELECT format('%s PASSWORD %L', $1, $2) AS change", [.text(shown), .text(verifier)])
        try await admin.execute(script: whole, name: "create_role", deadline: deadline)
        report(.done(shown + " PASSWORD of database_url"))
    }

    /// Who is no superuser makes things for a role as a member of it.
    /// - Returns: whether the administrator was made one now.
    private func borrow(_ admin: Connection, _ report: (Step) -> Void) async throws -> Bool {
        guard try await !holds(admin, "SELECT 1 AS one WHERE pg_has_role($1, 'MEMBER')", role) else { return false }
        try await change(
            admin, "SELECT format('GRANT %I TO %I', $1, current_user) AS change", [.text(role)], report)
        return true
    }

    /// A schema of another owner, such as of the superuser that the gateway ran as before, is handed over.
    private func makeSchema(_ admin: Connection, _ report: (Step) -> Void) async throws {
        guard try await holds(admin, "SELECT 1 AS one FROM pg_catalog.pg_namespace WHERE nspname = $1", "gateway")
        else {
            return try await change(
                admin, "SELECT format('CREATE SCHEMA gateway AUTHORIZATION %I', $1) AS change", [.text(role)], report)
        }
        let changes = try await query(admin, Self.handOver, [.text(role)]).map {
            try $0.value("change", as: String.self)
        }
        if changes.isEmpty { return report(.kept("the schema gateway is of \(role)")) }
        try await admin.execute(script: changes.joined(separator: "; "), name: "hand_over", deadline: deadline)
        report(.done(changes[0]))
        if changes.count > 1 { report(.done("and \(changes.count - 1) tables, functions and types in it")) }
    }

    /// One transaction's worth of statements; none where all belongs to the role.
    private static let handOver = """
        SELECT x.change || format(' OWNER TO %I', $1) AS change FROM (
            SELECT 1 AS nth, 'ALTER SCHEMA gateway' AS change FROM pg_catalog.pg_namespace n
            WHERE n.nspname = 'gateway' AND pg_get_userbyid(n.nspowner) <> $1
            UNION ALL
            SELECT 2, format('ALTER %s gateway.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
                WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.relname)
            FROM pg_catalog.pg_class c
            WHERE c.relnamespace = to_regnamespace('gateway') AND pg_get_userbyid(c.relowner) <> $1
                AND c.relkind IN ('r', 'v', 'S', 'c')
                -- Sequences of columns go with their tables.
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass
                    AND d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
            UNION ALL
            SELECT 3, format('ALTER ROUTINE %s', p.oid::regprocedure) FROM pg_catalog.pg_proc p
            WHERE p.pronamespace = to_regnamespace('gateway') AND pg_get_userbyid(p.proowner) <> $1
        ) x ORDER BY x.nth, x.change
        """

    // MARK: Statements

    private func mayConnect(_ admin: Connection, _ name: String) async throws -> Bool {
        try await holds(
            admin, "SELECT 1 AS one WHERE has_database_privilege($1, current_database(), 'CONNECT')", name)
    }

    private func isMember(_ admin: Connection, _ member: String, of name: String) async throws -> Bool {
        try await query(
            admin, "SELECT 1 AS one WHERE pg_has_role($1, $2, 'USAGE')", [.text(member), .text(name)]
        ).first != nil
    }

    private func holds(_ admin: Connection, _ sql: String, _ name: String) async throws -> Bool {
        try await query(admin, sql, [.text(name)]).first != nil
    }

    /// Executes the statement that a query makes: names can't be parameters of it, and the server quotes them.
    private func change(
        _ admin: Connection, _ sql: String, _ values: [PostgresValue], _ report: (Step) -> Void
    ) async throws {
        let statement = try await text(admin, sql, values)
        try await admin.execute(script: statement, name: "grant", deadline: deadline)
        report(.done(statement))
    }

    private func text(_ admin: Connection, _ sql: String, _ values: [PostgresValue]) async throws -> String {
        guard let row = try await query(admin, sql, values).first else {
            throw PostgresError.unexpectedResult("grant: no row")
        }
        return try row.value("change")
    }

    private func query(_ admin: Connection, _ sql: String, _ values: [PostgresValue]) async throws -> Rows {
        try await admin.query(Statement(name: "grant", sql: sql, isPrepared: false), values, deadline: deadline)
    }

    private func with<T: Sendable>(_ url: String, _ body: (Connection) async throws -> T) async throws -> T {
        let connection = try await Connection.connect(
            to: url, applicationName: "lark-gateway migrate", preparesStatements: false, mustWrite: true,
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
}
