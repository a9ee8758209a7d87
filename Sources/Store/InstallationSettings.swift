import Foundation

/// An agent, as a configuration file or a command names it.
package struct AgentSettings: Sendable, Equatable {
    package let workspace: String
    package let name: String
    /// nil: offline.
    package let runtime: String?
    /// What it says may mention everybody in a chat.
    package let mayMentionAll: Bool

    package init(workspace: String, name: String, runtime: String?, mayMentionAll: Bool = false) {
        self.workspace = workspace
        self.name = name
        self.runtime = runtime
        self.mayMentionAll = mayMentionAll
    }
}

/// An installed app, as a configuration file or a command names it.
package struct InstallationSettings: Sendable {
    /// Who may talk to the bot.
    package enum Access: String, Sendable, CaseIterable {
        /// An unknown sender is asked to bind.
        case pairing
        /// An unknown sender becomes a member with their first message.
        case open
    }

    package enum Locale: String, Sendable, CaseIterable { case en, zh }

    /// What an agent is told of the words of people in a group who are not let in.
    package enum StrangersInContext: String, Sendable, CaseIterable { case include, omit }

    package let appID: String
    package let appSecret: String
    package let domain: URL
    package let workspace: String
    package let agent: String
    package let access: Access
    /// The language of notices.
    package let locale: Locale
    /// nil: omitted where access is `pairing`.
    package let strangersInContext: StrangersInContext?

    package init(
        appID: String, appSecret: String, domain: URL, workspace: String, agent: String, access: Access, locale: Locale,
        strangersInContext: StrangersInContext? = nil
    ) {
        self.appID = appID
        self.appSecret = appSecret
        self.domain = domain
        self.workspace = workspace
        self.agent = agent
        self.access = access
        self.locale = locale
        self.strangersInContext = strangersInContext
    }
}
