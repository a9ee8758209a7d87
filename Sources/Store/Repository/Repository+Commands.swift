import Postgres

/// Something that an administrator did by command.
package struct AdministratorCommand: Sendable, Equatable {
    package let id: Int64
    /// User and host, as they say.
    package let user: String
    /// Such as `agent set-offline`.
    package let command: String
    /// Such as `acme/support`.
    package let subject: String
}

extension Repository {
    /// Leaves a line for the log of running gateways.
    /// - Parameter subject: neither a secret nor a code.
    package func logCommand(_ command: String, of subject: String, by user: String) async throws {
        try await run(SQL.logCommand, [.text(user), .text(command), .text(subject)])
    }

    /// - Parameter id: what comes after it, in its order.
    package func commands(after id: Int64, limit: Int) async throws -> [AdministratorCommand] {
        try await run(SQL.listCommands, [.int(id), .int(Int64(limit))]).map {
            AdministratorCommand(
                id: try $0.value("id"), user: try $0.value("done_by"), command: try $0.value("command"),
                subject: try $0.value("subject"))
        }
    }

    /// The newest.
    package func lastCommandID() async throws -> Int64 {
        try await run(SQL.findLastCommand, []).first?.value("id") ?? 0
    }
}
