import AsyncRuntime
import Postgres

/// One line of `agent list`.
package struct AgentStatus: Sendable {
    package let workspace: String
    package let name: String
    package let runtime: String?
    package let isArchived: Bool
    package let origin: String
    package let installations: Int
}

/// One line of `member list`.
package struct MemberStatus: Sendable {
    package let workspace: String
    package let name: String
    /// Empty: invited, and no member yet.
    package let origin: String
    package let bots: Int
    /// How long an invitation to become this member is good yet; nil: there is none.
    package let invitedFor: Duration?
}

/// What administrators do by command. Running gateways hear of it at once.
extension Repository {
    /// - Returns: what was there before: `new`, `active` or `revoked`.
    package func addInstallation(_ settings: InstallationSettings, sealedWith key: SealingKey) async throws -> String {
        let rows = try await run(
            SQL.addInstallation,
            [
                .text(settings.appID), .text(settings.workspace), .text(settings.agent),
                .text(settings.domain.absoluteString), .text(settings.locale.rawValue), .text(settings.access.rawValue),
                .bytes(key.seal(settings.appSecret, for: settings.appID)), .text(key.id),
            ])
        guard let row = rows.first else { throw PostgresError.unexpectedResult("add_installation: no row") }
        return try row.value("was")
    }

    /// - Returns: false when there is no such active installation.
    package func revokeInstallation(_ appID: String) async throws -> Bool {
        try await run(SQL.revokeInstallation, [.text(appID), .text("command")]).first?.value("is_revoked") ?? false
    }

    /// - Returns: false when there is no such revoked installation.
    package func restoreInstallation(_ appID: String) async throws -> Bool {
        try await !run(SQL.restoreInstallation, [.text(appID)]).isEmpty
    }

    /// - Returns: false when there is no such installation.
    package func putSecret(_ secret: String, of appID: String, sealedWith key: SealingKey) async throws -> Bool {
        try await run(SQL.putSecret, [.text(appID), .bytes(key.seal(secret, for: appID)), .text(key.id)])
            .first?.value("is_known") ?? false
    }

    package func sealedSecrets() async throws -> [(appID: String, sealed: [UInt8], keyID: String)] {
        try await run(SQL.listSealedSecrets, []).map {
            (try $0.value("app_id"), try $0.value("sealed_secret"), try $0.value("sealed_key_id"))
        }
    }

    package func agents() async throws -> [AgentStatus] {
        try await run(SQL.listAgents, []).map { row in
            AgentStatus(
                workspace: try row.value("workspace"), name: try row.value("name"),
                runtime: try row.optional("runtime_id"), isArchived: try row.value("archived"),
                origin: try row.value("origin"), installations: try row.value("installations"))
        }
    }

    /// - Parameter runtime: nil: offline.
    /// - Returns: false when there is no such agent.
    package func setRuntime(_ runtime: String?, ofAgent name: String, in workspace: String) async throws -> Bool {
        try await !run(SQL.setAgentRuntime, [.text(workspace), .text(name), .text(runtime)]).isEmpty
    }

    /// - Returns: false when there is no such agent.
    package func archiveAgent(_ name: String, in workspace: String, isArchived: Bool) async throws -> Bool {
        try await !run(SQL.archiveAgent, [.text(workspace), .text(name), .bool(isArchived)]).isEmpty
    }

    package func members() async throws -> [MemberStatus] {
        try await run(SQL.listMembers, []).map { row in
            MemberStatus(
                workspace: try row.value("workspace"), name: try row.value("name"), origin: try row.value("origin"),
                bots: try row.value("bots"),
                invitedFor: try row.optional("invited_for_ms").map { (ms: Int64) in .milliseconds(ms) })
        }
    }

    /// Ends a membership, and takes back every invitation of that name.
    package func removeMember(
        _ name: String, from workspace: String
    ) async throws -> (wasMember: Bool, wasInvited: Bool) {
        guard let row = try await run(SQL.removeMember, [.text(workspace), .text(name)]).first else {
            throw PostgresError.unexpectedResult("remove_member: no row")
        }
        return (try row.value("was_member"), try row.value("was_invited"))
    }
}
