import Postgres

/// One line of `agent list`.
package struct AgentStatus: Sendable {
    package let workspace: String
    package let name: String
    package let runtime: String?
    package let isArchived: Bool
    package let origin: String
    package let installations: Int
    /// Everybody in a chat.
    package let mayMentionAll: Bool
    package let overrides: [Override]
}

extension Repository {
    /// By name, archived ones too.
    package func agents(limit: Int) async throws -> Listed<AgentStatus> {
        try Listed(await run(SQL.listAgents, [.int(Int64(limit))])) { row in
            AgentStatus(
                workspace: try row.value("workspace"), name: try row.value("name"),
                runtime: try row.optional("runtime_id"), isArchived: try row.value("archived"),
                origin: try row.value("origin"), installations: try row.value("installations"),
                mayMentionAll: try row.value("may_mention_all"),
                overrides: try Override.all(in: row.value("overrides")))
        }
    }

    /// What a command says of an agent; it counts whatever the configuration file says.
    /// - Parameter user: who gave the command.
    /// - Returns: false when there is no such agent.
    package func override(
        _ setting: AgentSetting, ofAgent name: String, in workspace: String, by user: String
    ) async throws -> Bool {
        let values: [PostgresValue] = [
            .text(workspace), .text(name), .text(setting.name), .text(setting.value), .text(user),
        ]
        return try await run(SQL.overrideAgent, values).first?.value("is_known") ?? false
    }

    /// Takes back what commands say of an agent.
    /// - Returns: how many words there were; nil when there is no such agent.
    package func resetAgent(_ name: String, in workspace: String) async throws -> Int? {
        try await run(SQL.resetAgent, [.text(workspace), .text(name)]).first?.optional("overrides")
    }
}

/// What a command may say of an agent.
package enum AgentSetting: Sendable, Equatable {
    /// nil: offline.
    case runtime(String?)
    /// Everybody in a chat.
    case mayMentionAll(Bool)
    case isArchived(Bool)

    fileprivate var name: String {
        switch self {
        case .runtime: "runtime"
        case .mayMentionAll: "may_mention_all"
        case .isArchived: "archived"
        }
    }

    fileprivate var value: String? {
        switch self {
        case .runtime(let runtime): runtime
        case .mayMentionAll(let value), .isArchived(let value): "\(value)"
        }
    }
}
