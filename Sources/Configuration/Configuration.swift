import Curl
import Foundation
import Gateway
import Lark
import Store

/// The configuration file, checked whole: the values of `Settings` by their names, and what is made of several of them.
@dynamicMemberLookup
package struct Configuration: Sendable {
    private let values: SettingValues<Settings>
    /// What was read, for reading secrets again.
    let text: Data
    let surroundings: Surroundings
    /// What each file with a secret held, by path.
    let secretTexts: [String: String]
    package let agents: [AgentSettings]
    package let installations: [InstallationSettings]

    package enum Transport: String, CaseIterable, Sendable { case auto, libcurl, urlsession }

    /// Which secrets a command can't do without. Outside the service systemd's credentials are out of reach.
    package enum Need: Int, Sendable, Comparable {
        case nothing, database, sealing, everything

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// - Parameter leavesOut: a secret that is out of reach is left empty, and told of in `outOfReach`.
    /// - Throws: `ConfigurationError` with every mistake, also where the file can't be read.
    package static func load(
        path: String, in surroundings: Surroundings = .process, for need: Need = .everything, leavesOut: Bool = false
    ) throws -> Configuration {
        let data = try SmallFile.read(path) {
            ConfigurationError(keyPath: "", problem: "\(path): \($0)", isOutOfReach: $1)
        }
        do {
            return try Configuration(parsing: data, in: surroundings, for: need, leavesOut: leavesOut)
        } catch let error as ConfigurationError {
            throw error.named(path)
        }
    }

    /// What a file chooses for the log, whatever else is wrong with it.
    /// - Returns: nil where it can't be read, or is no JSON.
    package static func log(ofFileAt path: String) -> LogSettings? {
        var mistakes = MistakeList()
        guard let data = try? SmallFile.read(path, { problem, _ in ConfigurationError(keyPath: "", problem: problem) }),
            let node = try? JSONNode(parsing: data, collecting: &mistakes),
            let values = try? SettingValues<Settings>(
                reading: node, SettingReading(surroundings: Surroundings(environment: [:]), need: .nothing),
                collecting: &mistakes)
        else { return nil }
        var settings = LogSettings()
        settings.level = values.logLevel
        settings.format = values.logFormat
        return settings
    }

    package init(parsing data: Data, environment: [String: String], for need: Need = .everything) throws {
        try self.init(parsing: data, in: Surroundings(environment: environment), for: need)
    }

    /// - Parameter need: secrets beyond it whose sources can't be read are left empty.
    /// - Throws: `ConfigurationError` with every mistake.
    package init(
        parsing data: Data, in surroundings: Surroundings, for need: Need = .everything, leavesOut: Bool = false
    ) throws {
        try self.init(parsing: data, in: surroundings, for: need, leavesOut: leavesOut, SecretFiles())
    }

    init(
        parsing data: Data, in surroundings: Surroundings, for need: Need, leavesOut: Bool = false,
        _ files: SecretFiles
    ) throws {
        text = data
        self.surroundings = surroundings
        var mistakes = MistakeList()
        let node = try JSONNode(parsing: data, collecting: &mistakes)
        let values = try SettingValues<Settings>(
            reading: node,
            SettingReading(surroundings: surroundings, need: need, leavesOut: leavesOut, files: files),
            collecting: &mistakes)
        secretTexts = files.texts
        for rule in Settings.rules where !rule.sections.contains(where: mistakes.concern) && !rule.holds(values) {
            mistakes.add(ConfigurationError(keyPath: rule.keyPath, problem: rule.problem))
        }
        Self.checkUnique(node, &mistakes)
        agents = values.agents.map {
            AgentSettings(
                workspace: $0.workspace, name: $0.name, runtime: $0.runtime, mayMentionAll: $0.mayMentionAll)
        }
        let isInsecureAllowed = values.isInsecureAllowed
        installations = try values.installations.enumerated().compactMap { index, values in
            let domain = try mistakes.collect {
                try InstallationKeys.url(
                    values.domain, at: "installations[\(index)].domain", isInsecureAllowed: isInsecureAllowed)
            }
            return domain.map {
                InstallationSettings(
                    appID: values.appID, appSecret: values.appSecret, domain: $0, workspace: values.workspace,
                    agent: values.agent, access: values.access, locale: values.locale,
                    strangersInContext: values.strangersInContext)
            }
        }
        self.values = values
        try mistakes.throwIfAny()
    }

    package subscript<Value>(dynamicMember key: KeyPath<Settings, Setting<Settings, Value>>) -> Value {
        values[dynamicMember: key]
    }

    /// The keys that differ from `old`, and are read at the start alone; of a section its name.
    package func keysForRestart(since old: Configuration) -> [String] {
        Settings.entries
            .filter { entry in entry.settings.contains { $0.needsRestart && $0.differs(values, from: old.values) } }
            .map(\.name)
    }

    /// The keys that differ from `old`, and whose change a reload applies.
    package func appliedKeys(since old: Configuration) -> [String] {
        Settings.all.filter { !$0.needsRestart && $0.differs(values, from: old.values) }.map(\.path)
    }

    /// What is in effect, as a configuration file: the keys in the order of their declaration, without those that are
    /// not set. Of a secret it says where it is read from, or nothing.
    package var effective: OrderedJSON { values.shown }

    /// The keys of secrets that stand elsewhere, and where.
    var secretKeys: [(key: String, source: String)] {
        func keys(_ sources: [String: OrderedJSON], in parent: String) -> [(key: String, source: String)] {
            sources.sorted { $0.key < $1.key }.flatMap { path, source -> [(key: String, source: String)] in
                guard case .array(let elements) = source else { return source.strings.map { (parent + path, $0) } }
                return elements.enumerated().flatMap { index, element in
                    element.strings.map { ("\(parent)\(path)[\(index)]", $0) }
                }
            }
        }
        let installations = values.installations.enumerated().flatMap { index, installation in
            keys(installation.sources, in: "installations[\(index)].")
        }
        return (keys(values.sources, in: "") + installations).filter { Secret.isReference($0.source) }
    }

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

    /// What `check` says beside `warnings`: it is as the file says, and perhaps not as it was meant.
    package var remarks: [(key: String, problem: String)] {
        var remarks: [(key: String, problem: String)] = []
        if installations.isEmpty {
            remarks.append(
                (
                    "installations",
                    "the file names no bot; without one that lark-gateway installation add has made, nobody is answered"
                ))
        }
        let known = Set(agents.map { [$0.workspace, $0.name] })
        guard !known.isEmpty else { return remarks }
        for (index, bot) in installations.enumerated() where !known.contains([bot.workspace, bot.agent]) {
            remarks.append(
                (
                    "installations[\(index)].agent",
                    "\(bot.workspace)/\(bot.agent) is not in agents; it will be made, with the runtime default"
                ))
        }
        return remarks
    }

    /// The secrets that could not be read from here, or not by this user.
    package var outOfReach: [ConfigurationError.Mistake] {
        values.outOfReach + values.installations.flatMap(\.outOfReach)
    }

    /// Of the elements as they stand in the file: one that has another mistake counts, too.
    private static func checkUnique(_ file: JSONNode, _ mistakes: inout MistakeList) {
        func elements(_ key: String) -> [[String: Any]?] {
            let list = (file.value as? [String: Any])?[key] as? [Any] ?? []
            return list.map { $0 as? [String: Any] }
        }
        var apps: Set<String> = []
        for (index, installation) in elements("installations").enumerated() {
            guard let app = installation?["app_id"] as? String, !apps.insert(app).inserted else { continue }
            mistakes.addOne {
                ConfigurationError(
                    keyPath: "installations[\(index)].app_id",
                    problem: "\(AppID.isValid(app) ? app : "it") stands here twice")
            }
        }
        var names: Set<[String]> = []
        for (index, agent) in elements("agents").enumerated() {
            guard let workspace = agent?["workspace"] as? String, let name = agent?["name"] as? String,
                !names.insert([workspace, name]).inserted
            else { continue }
            mistakes.addOne {
                ConfigurationError(
                    keyPath: "agents[\(index)].name", problem: "\(name) stands here twice for \(workspace)")
            }
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
        settings.mayRevokeAll = values.isGiven(Settings.keys.installations) && installations.isEmpty
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
