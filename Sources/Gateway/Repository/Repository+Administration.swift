import AsyncRuntime
import Foundation
import Postgres

/// One line of `status`.
package struct InstallationStatus: Sendable {
    package let appID: String
    package let workspace: String
    package let agent: String
    package let runtime: String?
    package let isArchived: Bool
    package let status: String
    package let access: String
    package let holder: String?
    package let isHeld: Bool
    /// What the holder says about the connection; nil where nobody holds it.
    package let connection: String?
    package let connectionReason: String?
    /// How long it has been so.
    package let connectionAge: Duration?
    package let connectionRetryIn: Duration?
    /// `config` or `command`.
    package let origin: String
    package let sealedKeyID: String?
    package let openWindows: Int
    package let queuedTasks: Int
    package let claimedTasks: Int
    package let outboxWaiting: Int
    /// How long the oldest of them has waited.
    package let outboxOldest: Duration?
    package let outboxDead: Int
}

/// One thing that applying the configuration file changed; see gateway.apply_configuration.
package struct ConfigurationChange: Sendable, Equatable {
    /// `installation` or `agent`.
    package let kind: String
    package let name: String
    /// `added`, `restored`, `revoked`, `archived` or `stays_revoked`.
    package let change: String
}

extension Repository {
    /// Makes true what a configuration file says, in one transaction.
    package func applyConfiguration(
        agents: [AgentSettings], installations: [InstallationSettings]
    ) async throws -> [ConfigurationChange] {
        let agents: [[String: Any]] = agents.map {
            ["workspace": $0.workspace, "name": $0.name, "runtime": $0.runtime ?? NSNull()]
        }
        let installations: [[String: Any]] = installations.map {
            [
                "app_id": $0.appID, "workspace": $0.workspace, "agent": $0.agent, "domain": $0.domain.absoluteString,
                "locale": $0.locale.rawValue, "access": $0.access.rawValue,
            ]
        }
        func json(_ value: Any) throws -> PostgresValue {
            .jsonb(String(decoding: try JSONSerialization.data(withJSONObject: value), as: UTF8.self))
        }
        return try await run(SQL.applyConfiguration, [json(agents), json(installations)], within: .seconds(60)).map {
            ConfigurationChange(
                kind: try $0.value("kind"), name: try $0.value("name"), change: try $0.value("change"))
        }
    }

    package func installationStatuses() async throws -> [InstallationStatus] {
        try await run(SQL.statusInstallations, []).map { row in
            InstallationStatus(
                appID: try row.value("app_id"), workspace: try row.value("workspace"), agent: try row.value("agent"),
                runtime: try row.optional("runtime_id"), isArchived: try row.value("archived"),
                status: try row.value("status"), access: try row.value("access"),
                holder: try row.optional("lease_holder"), isHeld: try row.value("is_held"),
                connection: try row.optional("connection_state"),
                connectionReason: try row.optional("connection_reason"),
                connectionAge: try row.optional("connection_age_ms").map { (ms: Int64) in .milliseconds(ms) },
                connectionRetryIn: try row.optional("connection_retry_in_ms").map { (ms: Int64) in .milliseconds(ms) },
                origin: try row.value("origin"), sealedKeyID: try row.optional("sealed_key_id"),
                openWindows: try row.value("open_windows"), queuedTasks: try row.value("queued_tasks"),
                claimedTasks: try row.value("claimed_tasks"), outboxWaiting: try row.value("outbox_waiting"),
                outboxOldest: try row.optional("outbox_oldest_ms").map { (ms: Int64) in .milliseconds(ms) },
                outboxDead: try row.value("outbox_dead"))
        }
    }
}
