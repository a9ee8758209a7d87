import Curl
import Foundation
import Lark
import Gateway
import Postgres

/// The configuration file, checked whole.
///
/// | key | type | default | meaning |
/// | --- | --- | --- | --- |
/// | `database_url` | string or secret | none: a private Postgres | a libpq connection URI |
/// | `pooler_url` | string or secret | none | a pooler in transaction mode before `database_url` |
/// | `state_directory` | path | `$STATE_DIRECTORY` | where the private Postgres lives |
/// | `transport` | `auto`, `libcurl`, `urlsession` | `auto` | what carries the WebSocket |
/// | `network` | see `NetworkSettings(_:environment:)` | none | private CA, proxy |
/// | `long_connection` | see `LongConnectionSettings(_:)` | | time-outs and limits |
/// | `agents[]` | `workspace`, `name`, `runtime` (`default`; null: offline) | none | who answers |
/// | `installations[]` | see `installation` below | none | the bots |
/// | `batching.silence_window`, `batching.max_wait` | duration | 3s, 30s | when a burst becomes a run |
/// | `send_limits` | `per_chat_second`, `per_app_second`, `per_app_minute` | 5, 50, 1000 | how fast messages are sent |
/// | `lease.ttl`, `lease.renew_every` | duration | 90s, 30s | who owns an installation |
/// | `sealing.key`, `sealing.previous[]` | secret | none | seal app secrets that commands give |
/// | `shutdown_timeout` | duration | 15s | for the whole of a stop |
/// | `log.level`, `log.format` | | `info`, `json` | |
/// | `metrics.listen` | `host:port` or null | `127.0.0.1:9464` | metrics and health |
/// | `public_url` | http(s) URL | none | where people reach the pairing page |
/// | `pairing.listen` | `host:port` | `127.0.0.1:9465` | where it is served, with `public_url` |
package struct Configuration: Sendable {
    package var databaseURL: String?
    package var poolerURL: String?
    package var stateDirectory: String?
    package var agents: [AgentSettings] = []
    package var installations: [InstallationSettings] = []
    package var batching = Batching()
    package var sendLimits = SendLimits()
    package var lease = LeaseTiming()
    package var sealing = SealingKeys()
    package var transport = Transport.auto
    package var network = NetworkSettings()
    package var longConnection = LongConnectionSettings()
    package var shutdownTimeout: Duration = .seconds(15)
    package var log = LogSettings()
    /// nil: off.
    package var metrics: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 9464)

    package var publicURL: URL?
    /// nil: there is no pairing page.
    package var pairing: ListenAddress?

    package enum Transport: String, CaseIterable { case auto, libcurl, urlsession }

    /// Which secrets a command can't do without. Outside the service systemd's credentials are out of reach.
    package enum Need: Sendable { case everything, sealing, database }

    package static func load(path: String, for need: Need = .everything) throws -> Configuration {
        let data = try SmallFile.read(path) { ConfigurationError(keyPath: "", problem: "\(path): \($0)") }
        return try Configuration(parsing: data, environment: ProcessInfo.processInfo.environment, for: need)
    }

    /// - Parameter need: secrets beyond it that can't be read are left empty.
    package init(parsing data: Data, environment: [String: String], for need: Need = .everything) throws {
        let keys = try JSONNode(parsing: data).object(keys: [
            "database_url", "pooler_url", "state_directory", "transport", "network", "long_connection", "agents",
            "installations",
            "batching", "send_limits", "lease", "sealing", "shutdown_timeout", "log", "metrics", "public_url",
            "pairing",
        ])
        databaseURL = try keys["database_url"].map { try Self.connectionText($0, environment) }
        poolerURL = try keys["pooler_url"].map { try Self.connectionText($0, environment) }
        if let node = keys["pooler_url"], databaseURL == nil {
            throw node.fail("a pooler without database_url: the server itself is needed too, for notifications")
        }
        stateDirectory = try keys["state_directory"]?.string() ?? environment["STATE_DIRECTORY"]
        transport = try keys["transport"]?.choice(of: Transport.self) ?? transport
        network = try NetworkSettings(keys["network"], environment: environment)
        if let node = keys["transport"], transport == .urlsession, network != NetworkSettings() {
            throw node.fail("\"urlsession\" knows neither ca_file nor a proxy; use \"auto\"")
        }
        if let node = keys["long_connection"] { longConnection = try LongConnectionSettings(node) }
        if let node = keys["public_url"] {
            publicURL = try Self.publicURL(node)
            pairing = ListenAddress(host: "127.0.0.1", port: 9465)
        }
        if let node = keys["pairing"] {
            guard publicURL != nil else { throw node.fail("a pairing page without public_url: where people reach it") }
            pairing = try node.object(keys: ["listen"])["listen"].map { try ListenAddress($0) } ?? pairing
        }
        agents = try keys["agents"]?.array().map(Self.agent) ?? []
        installations =
            try keys["installations"]?.array().map {
                try Self.installation($0, environment, needsSecret: need == .everything)
            } ?? []
        try checkUnique(keys)
        if let node = keys["batching"] { batching = try Self.batching(node) }
        if let node = keys["send_limits"] { sendLimits = try Self.sendLimits(node) }
        if let node = keys["lease"] { lease = try Self.lease(node) }
        if let node = keys["sealing"] {
            do {
                sealing = try Self.sealing(node, environment)
            } catch  where need == .database {
                sealing = SealingKeys()
            }
        }
        shutdownTimeout = try keys["shutdown_timeout"]?.duration() ?? shutdownTimeout
        if let node = keys["log"] { log = try LogSettings(node) }
        if let node = keys["metrics"] {
            let listen = try node.object(keys: ["listen"])["listen"]
            if let listen { metrics = listen.isNull ? nil : try ListenAddress(listen) }
        }
    }

    private static func connectionText(_ node: JSONNode, _ environment: [String: String]) throws -> String {
        let text = try Secret.resolve(node, environment: environment)
        // Not in libpq's words: they quote the text, and a password with it.
        guard ConnectionText.isValid(text) else {
            throw node.fail("neither a postgresql:// URI nor libpq's keyword=value text")
        }
        return text
    }

    private func checkUnique(_ keys: [String: JSONNode]) throws {
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

    private static func required(_ keys: [String: JSONNode], _ key: String, of node: JSONNode) throws -> JSONNode {
        guard let found = keys[key] else {
            throw ConfigurationError(keyPath: "\(node.path).\(key)", problem: "missing, expected a string")
        }
        return found
    }

    private static func agent(_ node: JSONNode) throws -> AgentSettings {
        let keys = try node.object(keys: ["workspace", "name", "runtime"])
        var runtime: String? = "default"
        if let found = keys["runtime"] { runtime = found.isNull ? nil : try found.string() }
        return AgentSettings(
            workspace: try required(keys, "workspace", of: node).string(),
            name: try required(keys, "name", of: node).string(), runtime: runtime)
    }

    private static func installation(
        _ node: JSONNode, _ environment: [String: String], needsSecret: Bool
    ) throws -> InstallationSettings {
        let keys = try node.object(keys: [
            "app_id", "app_secret", "domain", "workspace", "agent", "access", "locale",
        ])
        let appID = try required(keys, "app_id", of: node).string()
        try checkAppID(appID, at: "\(node.path).app_id")
        let domainNode = keys["domain"]
        let domain = try domainNode?.string() ?? "feishu"
        let url = try Self.domain(domainNode ?? node, domain)
        var secret = ""
        do {
            secret = try Secret.resolve(required(keys, "app_secret", of: node), environment: environment)
        } catch  where !needsSecret {}
        return InstallationSettings(
            appID: appID, appSecret: secret,
            domain: url, workspace: try required(keys, "workspace", of: node).string(),
            agent: try required(keys, "agent", of: node).string(),
            access: try keys["access"]?.choice(of: InstallationSettings.Access.self) ?? .pairing,
            locale: try keys["locale"]?.choice(of: InstallationSettings.Locale.self)
                ?? (domain == "feishu" ? .zh : .en))
    }

    static func checkAppID(_ appID: String, at path: String) throws {
        guard appID.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) }) else {
            throw ConfigurationError(
                keyPath: path, problem: "expected the app id of the developer console, such as cli_...")
        }
    }

    /// "feishu", "lark" or a URL.
    static func domain(_ node: JSONNode, _ text: String) throws -> URL {
        switch text {
        case "feishu": try url(node, "https://open.feishu.cn")
        case "lark": try url(node, "https://open.larksuite.com")
        default: try url(node, text)
        }
    }

    private static func url(_ node: JSONNode, _ text: String) throws -> URL {
        guard let url = URL(string: text), let scheme = url.scheme, ["http", "https"].contains(scheme),
            url.host?.isEmpty == false
        else { throw node.fail("found \"\(text.prefix(80))\", expected \"feishu\", \"lark\" or an http(s) URL") }
        return url
    }

    private static func publicURL(_ node: JSONNode) throws -> URL {
        let text = try node.string()
        guard let url = URL(string: text), let scheme = url.scheme, ["http", "https"].contains(scheme),
            url.host?.isEmpty == false, url.query == nil, url.fragment == nil, url.user == nil
        else {
            throw node.fail(
                "found \"\(text.prefix(80))\", expected an http(s) URL such as \"https://bots.example.com\"")
        }
        return url
    }

    private static func batching(_ node: JSONNode) throws -> Batching {
        let keys = try node.object(keys: ["silence_window", "max_wait"])
        let standard = Batching()
        let window = try keys["silence_window"]?.duration() ?? standard.silenceWindow
        let maxWait = try keys["max_wait"]?.duration() ?? max(standard.maxWait, window)
        guard maxWait >= window else { throw node.fail("max_wait is shorter than silence_window") }
        return Batching(silenceWindow: window, maxWait: maxWait)
    }

    private static func sendLimits(_ node: JSONNode) throws -> SendLimits {
        let keys = try node.object(keys: ["per_chat_second", "per_app_second", "per_app_minute"])
        var limits = SendLimits()
        limits.perChatAndSecond = try keys["per_chat_second"]?.count(in: 1...1_000) ?? limits.perChatAndSecond
        limits.perAppAndSecond = try keys["per_app_second"]?.count(in: 1...10_000) ?? limits.perAppAndSecond
        limits.perAppAndMinute = try keys["per_app_minute"]?.count(in: 1...100_000) ?? limits.perAppAndMinute
        return limits
    }

    private static func sealing(_ node: JSONNode, _ environment: [String: String]) throws -> SealingKeys {
        let keys = try node.object(keys: ["key", "previous"])
        func key(_ node: JSONNode) throws -> SealingKey {
            let text = try Secret.resolve(node, environment: environment)
            do throws(SealingKey.Failure) {
                return try SealingKey(text)
            } catch {
                throw node.fail("\(error)")
            }
        }
        return SealingKeys(
            current: try key(required(keys, "key", of: node)), previous: try keys["previous"]?.array().map(key) ?? [])
    }

    private static func lease(_ node: JSONNode) throws -> LeaseTiming {
        let keys = try node.object(keys: ["ttl", "renew_every"])
        let standard = LeaseTiming()
        let ttl = try keys["ttl"]?.duration() ?? standard.ttl
        let renewEvery = try keys["renew_every"]?.duration() ?? ttl / 3
        guard renewEvery * 2 <= ttl else { throw node.fail("renew_every must be at most half of ttl") }
        return LeaseTiming(ttl: ttl, renewEvery: renewEvery)
    }
}
