import AsyncRuntime
import Foundation
import Postgres

/// What a configuration file says of agents and bots.
package struct ConfiguredParts: Sendable {
    package let agents: [AgentSettings]
    package let installations: [InstallationSettings]
    /// The file says itself that there are no bots. Else a file that would revoke each one that the file made before is
    /// taken for a mistake.
    package let mayRevokeAll: Bool

    package init(agents: [AgentSettings], installations: [InstallationSettings], mayRevokeAll: Bool) {
        self.agents = agents
        self.installations = installations
        self.mayRevokeAll = mayRevokeAll
    }
}

/// One thing that applying the configuration file changed; see gateway.apply_configuration.
package struct ConfigurationChange: Sendable, Equatable {
    /// `installation` or `agent`.
    package let kind: String
    /// An app id, or `workspace/agent`.
    package let name: String
    /// `added`, `restored`, `revoked`, `archived` or `stays_revoked`.
    package let change: String

    package init(kind: String, name: String, change: String) {
        self.kind = kind
        self.name = name
        self.change = change
    }
}

/// The configuration file would revoke every bot that it made before, and does not say so itself.
package struct RevokesEveryBot: Error, Sendable, CustomStringConvertible {
    /// Names the bots, ten at the most.
    package let description: String

    package let hint =
        #"where that is a mistake, correct "installations"; where it is meant, say "installations": [] first, or keep "#
        + "one of them until the new ones run, or take them off with lark-gateway installation revoke"
}

extension Repository {
    /// Makes true what a configuration file says, in one transaction.
    /// - Throws: `RevokesEveryBot`, `PostgresError`; then nothing was changed.
    package func applyConfiguration(_ parts: ConfiguredParts) async throws -> [ConfigurationChange] {
        let values = try Self.values(of: parts)
        return try await Self.changes { try await run(SQL.applyConfiguration, values, within: .seconds(60)) }
    }

    /// What `applyConfiguration` would change now, by doing it in a transaction that is rolled back: exactly what it
    /// would do, and nothing that could differ from it. Who writes to the rows of agents and bots meanwhile waits for
    /// it, a few milliseconds as a rule and three seconds at most; it waits one second at most for them.
    /// - Throws: `RevokesEveryBot`, `PostgresError`.
    package func previewConfiguration(_ parts: ConfiguredParts) async throws -> [ConfigurationChange] {
        let values = try Self.values(of: parts)
        let deadline = Deadline.after(.seconds(10))
        return try await pool.withConnection(deadline: deadline) { connection in
            func run(_ name: String, _ sql: String) async throws {
                try await connection.query(Statement(name: name, sql: sql, isPrepared: false), deadline: deadline)
            }
            try await run("preview_begin", "BEGIN")
            do {
                try await run("preview_lock_limit", "SET LOCAL lock_timeout = '1s'")
                try await run("preview_limit", "SET LOCAL statement_timeout = '3s'")
                let changes = try await Self.changes {
                    try await connection.query(SQL.applyConfiguration, values, deadline: deadline)
                }
                try await run("preview_end", "ROLLBACK")
                return changes
            } catch {
                // The server ends the transaction with the connection.
                await connection.close()
                throw error
            }
        }
    }

    private static func values(of parts: ConfiguredParts) throws -> [PostgresValue] {
        let agents: [[String: Any]] = parts.agents.map {
            [
                "workspace": $0.workspace, "name": $0.name, "runtime": $0.runtime ?? NSNull(),
                "may_mention_all": $0.mayMentionAll,
            ]
        }
        let installations: [[String: Any]] = parts.installations.map {
            [
                "app_id": $0.appID, "workspace": $0.workspace, "agent": $0.agent, "domain": $0.domain.absoluteString,
                "locale": $0.locale.rawValue, "access": $0.access.rawValue,
                "strangers_in_context": $0.strangersInContext?.rawValue ?? NSNull(),
            ]
        }
        func json(_ value: Any) throws -> PostgresValue {
            .jsonb(String(decoding: try JSONSerialization.data(withJSONObject: value), as: UTF8.self))
        }
        return [try json(agents), try json(installations), .bool(parts.mayRevokeAll)]
    }

    private static func changes(_ apply: () async throws -> Rows) async throws -> [ConfigurationChange] {
        do {
            return try await apply().map {
                ConfigurationChange(
                    kind: try $0.value("kind"), name: try $0.value("name"), change: try $0.value("change"))
            }
        } catch PostgresError.statement(let error) where error.sqlState == "GW003" {
            throw RevokesEveryBot(description: error.message)
        }
    }

    /// Agents and bots of the file of which commands say something.
    package func overriddenThings(limit: Int) async throws -> [OverriddenThing] {
        try await run(SQL.listOverrides, [.int(Int64(limit))]).map {
            OverriddenThing(
                kind: try $0.value("kind"), name: try $0.value("name"),
                overrides: Override.all(in: try $0.value("overrides")))
        }
    }
}
