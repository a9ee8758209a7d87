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
}

extension Repository {
    /// By name, archived ones too.
    package func agents(limit: Int) async throws -> Listed<AgentStatus> {
        try Listed(await run(SQL.listAgents, [.int(Int64(limit))])) { row in
            AgentStatus(
                workspace: try row.value("workspace"), name: try row.value("name"),
                runtime: try row.optional("runtime_id"), isArchived: try row.value("archived"),
                origin: try row.value("origin"), installations: try row.value("installations"),
                mayMentionAll: try row.value("may_mention_all"))
        }
    }

    /// - Parameter runtime: nil: offline.
    /// - Returns: false when there is no such agent.
    package func setRuntime(_ runtime: String?, ofAgent name: String, in workspace: String) async throws -> Bool {
        try await !run(SQL.setAgentRuntime, [.text(workspace), .text(name), .text(runtime)]).isEmpty
    }

    /// - Parameter mayMentionAll: everybody in a chat.
    /// - Returns: false when there is no such agent.
    package func setMentions(ofAgent name: String, in workspace: String, mayMentionAll: Bool) async throws -> Bool {
        try await !run(SQL.setAgentMentions, [.text(workspace), .text(name), .bool(mayMentionAll)]).isEmpty
    }

    /// - Returns: false when there is no such agent.
    package func archiveAgent(_ name: String, in workspace: String, isArchived: Bool) async throws -> Bool {
        try await !run(SQL.archiveAgent, [.text(workspace), .text(name), .bool(isArchived)]).isEmpty
    }
}
