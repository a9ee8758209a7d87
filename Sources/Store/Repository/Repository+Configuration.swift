import AsyncRuntime
import Foundation
import Postgres

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
            [
                "workspace": $0.workspace, "name": $0.name, "runtime": $0.runtime ?? NSNull(),
                "may_mention_all": $0.mayMentionAll,
            ]
        }
        let installations: [[String: Any]] = installations.map {
            [
                "app_id": $0.appID, "workspace": $0.workspace, "agent": $0.agent, "domain": $0.domain.absoluteString,
                "locale": $0.locale.rawValue, "access": $0.access.rawValue,
                "strangers_in_context": $0.strangersInContext?.rawValue ?? NSNull(),
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

    /// Agents and bots of the file of which commands say something.
    package func overriddenThings(limit: Int) async throws -> [OverriddenThing] {
        try await run(SQL.listOverrides, [.int(Int64(limit))]).map {
            OverriddenThing(
                kind: try $0.value("kind"), name: try $0.value("name"),
                overrides: Override.all(in: try $0.value("overrides")))
        }
    }
}
