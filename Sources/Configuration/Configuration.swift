import Curl
import Foundation
import Gateway
import Lark
import Store

/// The configuration file, checked whole: the values of `Settings` by their names, and what is made of several of them.
@dynamicMemberLookup
package struct Configuration: Sendable {
    private let values: SettingValues<Settings>
    package let agents: [AgentSettings]
    package let installations: [InstallationSettings]

    package enum Transport: String, CaseIterable, Sendable { case auto, libcurl, urlsession }

    /// Which secrets a command can't do without. Outside the service systemd's credentials are out of reach.
    package enum Need: Int, Sendable, Comparable {
        case nothing, database, sealing, everything

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    package static func load(path: String, for need: Need = .everything) throws -> Configuration {
        let data = try SmallFile.read(path) { ConfigurationError(keyPath: "", problem: "\(path): \($0)") }
        return try Configuration(parsing: data, environment: ProcessInfo.processInfo.environment, for: need)
    }

    /// - Parameter need: secrets beyond it whose sources can't be read are left empty.
    package init(parsing data: Data, environment: [String: String], for need: Need = .everything) throws {
        let reading = SettingReading(environment: environment, need: need)
        values = try SettingValues(reading: JSONNode(parsing: data), reading)
        for rule in Settings.rules where !rule.holds(values) {
            throw ConfigurationError(keyPath: rule.keyPath, problem: rule.problem)
        }
        agents = values.agents.map {
            AgentSettings(
                workspace: $0.workspace, name: $0.name, runtime: $0.runtime, mayMentionAll: $0.mayMentionAll)
        }
        let isInsecureAllowed = values.isInsecureAllowed
        installations = try values.installations.enumerated().map { index, values in
            InstallationSettings(
                appID: values.appID, appSecret: values.appSecret,
                domain: try InstallationKeys.url(
                    values.domain, at: "installations[\(index)].domain", isInsecureAllowed: isInsecureAllowed),
                workspace: values.workspace, agent: values.agent, access: values.access, locale: values.locale,
                strangersInContext: values.strangersInContext)
        }
        try checkUnique()
    }

    package subscript<Value>(dynamicMember key: KeyPath<Settings, Setting<Settings, Value>>) -> Value {
        values[dynamicMember: key]
    }

    /// The keys that differ from `old`, and are read at the start alone; of a section its name.
    package func keysForRestart(since old: Configuration) -> [String] {
        Settings.entries
            .filter { entry in entry.settings.contains { $0.needsRestart(values, since: old.values) } }
            .map(\.name)
    }

    /// What is in effect, as a configuration file: the keys in the order of their declaration, without those that are
    /// not set. Of a secret it says where it is read from, or nothing.
    package var effective: OrderedJSON { values.shown }

    /// Where the secrets are read from; `Secret.notPrinted` for one that stands in the file itself.
    var secretSources: [String] {
        (Array(values.sources.values) + values.installations.flatMap { Array($0.sources.values) }).flatMap(\.strings)
    }

    /// Whether the file itself holds a secret. An address of a database without a password is none.
    var holdsSecrets: Bool {
        let addresses = [
            (Settings.keys.databaseURL.path, values.databaseURL), (Settings.keys.poolerURL.path, values.poolerURL),
        ]
        let harmless = addresses.filter { path, text in
            values.sources[path]?.strings == [Secret.notPrinted]
                && text.map { !$0.contains("@") && !$0.contains("password") } == true
        }
        return secretSources.count { $0 == Secret.notPrinted } > harmless.count
    }

    /// What is taken, and should be looked at: keys and what is wrong with them.
    package var warnings: [(key: String, problem: String)] {
        var warnings: [(key: String, problem: String)] = []
        if values.publicURL?.isInClear == true {
            warnings.append(
                ("public_url", "http:// carries the links that let people in in clear: serve the page by https://"))
        }
        for (index, installation) in installations.enumerated() where installation.domain.isInClear {
            warnings.append(
                ("installations[\(index)].domain", "http:// carries the app secret and all messages in clear"))
        }
        return warnings
    }

    private func checkUnique() throws {
        var apps: Set<String> = []
        for (index, installation) in installations.enumerated() where !apps.insert(installation.appID).inserted {
            throw ConfigurationError(
                keyPath: "installations[\(index)].app_id", problem: "\(installation.appID) stands here twice")
        }
        var names: Set<[String]> = []
        for (index, agent) in agents.enumerated() where !names.insert([agent.workspace, agent.name]).inserted {
            throw ConfigurationError(
                keyPath: "agents[\(index)].name", problem: "\(agent.name) stands here twice for \(agent.workspace)")
        }
    }

    static func proxies(environment: [String: String]) throws -> Proxies {
        do throws(Proxies.MalformedVariable) {
            var proxies = try Proxies(environment: environment)
            proxies.exceptions = []
            return proxies
        } catch {
            throw ConfigurationError(
                keyPath: "network.proxy", problem: "the environment's \(error.name) is \(error.problem)")
        }
    }
}

/// What is made of several keys.
extension Configuration {
    package var network: NetworkSettings {
        var settings = NetworkSettings()
        settings.caFile = values.caFile
        settings.proxies = values.proxies
        settings.proxies.exceptions = values.proxyExceptions
        settings.isInsecureAllowed = values.isInsecureAllowed
        return settings
    }

    package var longConnection: LongConnectionSettings {
        var settings = LongConnectionSettings()
        settings.handshakeTimeout = values.handshakeTimeout
        settings.rules.pongPatience = values.pongTimeout
        settings.rules.readPatience = values.readTimeout
        settings.webSocket.limits.maxFrameBytes = values.maxFrame
        settings.webSocket.limits.maxMessageBytes = values.maxMessage
        return settings
    }

    package var batching: Batching { Batching(silenceWindow: values.silenceWindow, maxWait: values.maxWait) }

    package var sendLimits: SendLimits {
        var limits = SendLimits()
        limits.perChatAndSecond = values.perChatAndSecond
        limits.perAppAndSecond = values.perAppAndSecond
        limits.perAppAndMinute = values.perAppAndMinute
        return limits
    }

    package var lease: LeaseTiming { LeaseTiming(ttl: values.leaseTTL, renewEvery: values.renewEvery) }

    package var sealing: SealingKeys {
        SealingKeys(current: values.sealingKey, previous: values.previousSealingKeys)
    }

    package var log: LogSettings {
        var settings = LogSettings()
        settings.level = values.logLevel
        settings.format = values.logFormat
        return settings
    }

    package func gatewaySettings(databaseURL: String) -> GatewaySettings {
        var settings = GatewaySettings(databaseURL: databaseURL, agents: agents, installations: installations)
        settings.poolerURL = values.poolerURL
        settings.network = network
        settings.longConnection = longConnection
        settings.batching = batching
        settings.sendLimits = sendLimits
        settings.lease = lease
        settings.sealing = sealing
        settings.shutdownTimeout = values.shutdownTimeout
        settings.publicURL = values.publicURL
        return settings
    }
}
