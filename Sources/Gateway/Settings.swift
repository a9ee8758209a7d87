import Curl
import Foundation
import Lark
import Store

/// What the gateway is told about itself; the executable reads it from the configuration file.
package struct GatewaySettings: Sendable {
    /// The server itself: migrations and notifications need it.
    package var databaseURL: String
    /// A pooler in transaction mode, for every other statement; nil: they go to the server, too.
    package var poolerURL: String?
    package var agents: [AgentSettings]
    package var installations: [InstallationSettings]
    /// Says that there are no bots; see `ConfiguredParts`.
    package var mayRevokeAll = false
    package var batching = Batching()
    package var lease = LeaseTiming()
    /// What app secrets in the database are sealed with.
    package var sealing = SealingKeys()
    package var network = NetworkSettings()
    package var longConnection = LongConnectionSettings()
    package var sendLimits = SendLimits()
    /// Where people reach the pairing page; nil: there is none.
    package var publicURL: URL?
    package var shutdownTimeout = Self.standardShutdownTimeout
    package static let standardShutdownTimeout: Duration = .seconds(15)
    /// Connections to Postgres.
    package var poolSize = 8

    package init(databaseURL: String, agents: [AgentSettings], installations: [InstallationSettings]) {
        self.databaseURL = databaseURL
        self.agents = agents
        self.installations = installations
    }

    package var configured: ConfiguredParts {
        ConfiguredParts(agents: agents, installations: installations, mayRevokeAll: mayRevokeAll)
    }
}

package struct LeaseTiming: Sendable, Equatable {
    package let ttl: Duration
    package let renewEvery: Duration
    /// How often free installations are looked for.
    package var scanEvery: Duration { renewEvery }
    /// What nobody took for so long is taken by whoever can, beyond the share.
    package var grace: Duration { min(.seconds(10), ttl) }

    package init(ttl: Duration = .seconds(90), renewEvery: Duration = .seconds(30)) {
        self.ttl = ttl
        self.renewEvery = renewEvery
    }
}
