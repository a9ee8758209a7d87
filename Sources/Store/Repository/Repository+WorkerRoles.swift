import Postgres

/// A database role that may work for a runtime.
package struct WorkerRole: Sendable {
    package let name: String
    package let runtime: String
    /// false: it was dropped from the database.
    package let isThere: Bool
}

/// Roles that may call the worker functions, and nothing else of the schema; and those for the commands.
extension Repository {
    package func workerRoles() async throws -> [WorkerRole] {
        try await run(SQL.listWorkerRoles, []).map { row in
            WorkerRole(
                name: try row.value("role_name"), runtime: try row.value("runtime_id"),
                isThere: try row.value("is_there"))
        }
    }

    /// - Throws: `PostgresError`; with SQLSTATE 42704 when there is no such role, and with 22023 when it has the rights
    ///   of the schema's owner anyway.
    package func addWorkerRole(_ name: String, runtime: String) async throws {
        try await run(SQL.addWorkerRole, [.text(name), .text(runtime)])
    }

    /// - Parameter runtime: nil: all of them.
    /// - Returns: for how many runtimes it can't work any more.
    package func removeWorkerRole(_ name: String, runtime: String?) async throws -> Int {
        try await run(SQL.removeWorkerRole, [.text(name), .text(runtime)]).first.map { try $0.value("removed") } ?? 0
    }

    /// Ends the sessions of worker roles where the server's queue of notifications is fuller than so many percent.
    /// - Returns: how many; nil where it is not.
    /// - Throws: `PostgresError`; with SQLSTATE 42501 where it is that full, and the gateway may not end them.
    package func relieveNotifications(abovePercent percent: Int) async throws -> Int? {
        try await run(SQL.relieveNotifications, [.int(Int64(percent))]).first?.optional("ended")
    }

    /// Gives a role the rights of the commands of administration.
    /// - Throws: as `addWorkerRole`.
    package func addOperatorRole(_ name: String) async throws {
        try await run(SQL.addOperatorRole, [.text(name)])
    }
}
