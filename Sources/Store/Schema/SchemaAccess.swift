import AsyncRuntime
import Postgres

/// What the role of a connection may do with the schema `gateway`. Tells what is missing, and what to type for it.
package struct SchemaAccess: Sendable, Equatable {
    /// Names as SQL has them, quoted where they need it.
    package var role = ""
    package var database = ""
    /// Of the schema; nil: there is no schema.
    package var owner: String?
    /// Whether the role has the rights of the owner.
    package var isOwner = false
    /// An owner of something in the schema whose rights the role does not have.
    package var otherOwner: String?
    /// Whether the schema holds a table of the gateway's.
    package var hasTables = false
    /// Whether the role may make a schema in the database.
    package var mayCreate = false
    /// Whether the role may claim tasks.
    package var mayWork = false
    /// Whether the role may run the commands of administration.
    package var mayOperate = false

    /// Who wants to use the schema.
    package enum Use: Sendable { case gateway, command }

    /// Needs no right. Names are the server's own text of them (quote_ident).
    package static let statement = Statement(
        name: "schema_access",
        sql: """
            SELECT quote_ident(current_user) AS role, quote_ident(current_database()) AS database,
                quote_ident(pg_get_userbyid(n.nspowner)) AS owner,
                coalesce(pg_has_role(n.nspowner, 'USAGE'), false) AS is_owner,
                (SELECT quote_ident(pg_get_userbyid(x.owner)) FROM (
                    SELECT c.relowner AS owner FROM pg_catalog.pg_class c
                    WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'S', 'v')
                    UNION SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid) x
                 WHERE NOT pg_has_role(x.owner, 'USAGE') LIMIT 1) AS other_owner,
                EXISTS (SELECT FROM pg_catalog.pg_class c
                    WHERE c.relnamespace = n.oid AND c.relname = 'migration') AS has_tables,
                has_database_privilege(current_database(), 'CREATE') AS may_create,
                coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AND EXISTS (
                    SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'claim_task'
                    AND has_function_privilege(p.oid, 'EXECUTE')) AS may_work,
                coalesce((SELECT has_table_privilege(c.oid, 'INSERT') FROM pg_catalog.pg_class c
                    WHERE c.relnamespace = n.oid AND c.relname = 'invitation'), false) AS may_operate
            FROM (SELECT) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = 'gateway'
            """, isPrepared: false)

    package init() {}

    /// - Parameter rows: of `statement`.
    /// - Throws: `PostgresError.unexpectedResult`.
    package init(_ rows: Rows) throws {
        guard let row = rows.first else { throw PostgresError.unexpectedResult("schema_access: no row") }
        role = try row.value("role")
        database = try row.value("database")
        owner = try row.optional("owner")
        isOwner = try row.value("is_owner")
        otherOwner = try row.optional("other_owner")
        hasTables = try row.value("has_tables")
        mayCreate = try row.value("may_create")
        mayWork = try row.value("may_work")
        mayOperate = try row.value("may_operate")
    }

    /// Asks the server that a URL leads to.
    /// - Throws: `PostgresError`, `CancellationError`.
    package static func ask(_ url: String, deadline: Deadline) async throws -> SchemaAccess {
        let connection = try await Connection.connect(
            to: url, applicationName: "lark-gateway", preparesStatements: false, deadline: deadline)
        do {
            let access = try SchemaAccess(try await connection.query(statement, deadline: deadline))
            await connection.close()
            return access
        } catch {
            await connection.close()
            throw error
        }
    }

    /// - Returns: nil where nothing is missing for this use.
    package func lack(for use: Use) -> SchemaLack? {
        guard let owner, hasTables || use == .gateway else {
            guard use == .gateway else { return .schema }
            return mayCreate
                ? nil
                : .right(
                    problem: "the role \(role) may not make the schema gateway in the database \(database)",
                    statement: "GRANT CREATE ON DATABASE \(database) TO \(role);")
        }
        if !isOwner {
            if use == .command, mayOperate { return .owner(role: role) }
            return .right(
                problem: "the role \(role) has not the rights of \(owner), which owns the schema gateway",
                statement: "GRANT \(owner) TO \(role);")
        }
        return otherOwner.map {
            .right(
                problem: "the role \(role) has not the rights of \($0), which owns a part of the schema gateway",
                statement: "GRANT \($0) TO \(role);")
        }
    }
}

/// What is missing in a database. A person must act.
package enum SchemaLack: Error, Sendable, Equatable, CustomStringConvertible {
    case schema
    /// - Parameter statement: what an administrator of the database types.
    case right(problem: String, statement: String)
    /// The command is none of an operator's.
    case owner(role: String)
    /// A right that `SchemaAccess` does not know of.
    case other(StatementError)

    package static func == (one: SchemaLack, other: SchemaLack) -> Bool { one.description == other.description }

    package var description: String {
        switch self {
        case .schema: "the schema is missing: start the gateway or run lark-gateway migrate"
        case .right(let problem, let statement):
            "\(problem). As an administrator of the database: \(statement)"
        case .owner(let role):
            "the role \(role) may not do that: this command needs the role that owns the schema gateway, as in the "
                + "gateway's own configuration"
        case .other(let error):
            "\(error). The role that owns the schema gateway has all rights that are needed; lark-gateway migrate "
                + "--grant gives them to the other roles"
        }
    }
}
