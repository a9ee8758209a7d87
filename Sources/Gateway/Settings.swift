import Curl
import Foundation
import Lark

/// What the gateway is told about itself; the executable reads it from the configuration file.
package struct GatewaySettings: Sendable {
    /// The server itself: migrations and notifications need it.
    package var databaseURL: String
    /// A pooler in transaction mode, for every other statement; nil: they go to the server, too.
    package var poolerURL: String?
    package var agents: [AgentSettings]
    package var installations: [InstallationSettings]
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
}

package struct AgentSettings: Sendable, Equatable {
    package let workspace: String
    package let name: String
    /// nil: offline.
    package let runtime: String?

    package init(workspace: String, name: String, runtime: String?) {
        self.workspace = workspace
        self.name = name
        self.runtime = runtime
    }
}

package struct InstallationSettings: Sendable {
    /// Who may talk to the bot.
    package enum Access: String, Sendable, CaseIterable {
        /// An unknown sender is asked to bind.
        case pairing
        /// An unknown sender becomes a member with their first message.
        case open
    }

    package enum Locale: String, Sendable, CaseIterable { case en, zh }

    package let appID: String
    package let appSecret: String
    package let domain: URL
    package let workspace: String
    package let agent: String
    package let access: Access
    /// The language of notices.
    package let locale: Locale

    package init(
        appID: String, appSecret: String, domain: URL, workspace: String, agent: String, access: Access, locale: Locale
    ) {
        self.appID = appID
        self.appSecret = appSecret
        self.domain = domain
        self.workspace = workspace
        self.agent = agent
        self.access = access
        self.locale = locale
    }
}

/// When a burst of messages becomes a run.
package struct Batching: Sendable, Equatable {
    /// The silence after the last message.
    package let silenceWindow: Duration
    /// The longest wait after the first.
    package let maxWait: Duration

    /// A window of zero or less falls back to 3 s; a `maxWait` shorter than the window is the window.
    package init(silenceWindow: Duration = .seconds(3), maxWait: Duration = .seconds(30)) {
        self.silenceWindow = silenceWindow > .zero ? silenceWindow : .seconds(3)
        self.maxWait = max(maxWait, self.silenceWindow)
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
