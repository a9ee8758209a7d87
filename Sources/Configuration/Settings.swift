import Curl
import Foundation
import Gateway
import Lark
import Store
import WebSocket

/// Every key of the configuration file, in the order of the table in README.md. A key is added here, and read where its
/// value is used; `scripts/document-configuration` then writes the table and the schema anew.
package struct Settings: SettingKeys {
    package typealias Key<Value: Sendable> = Setting<Settings, Value>

    package static let keys = Settings()
    package static let all = declared(in: keys)
    package static let entries = SettingEntry.entries(of: all)

    package let databaseURL: Key<String?> = .init(
        restart: "database_url", .optional(.connection), .none("a private Postgres"), neededFor: .database,
        "libpq connection URI or keywords, or a secret that holds one. Postgres 14 or newer. Several servers: `postgresql://a,b/lark_gateway?target_session_attrs=read-write` finds the primary. A PgBouncer only in session mode: one in transaction mode is refused"
    )
    package let poolerURL: Key<String?> = .init(
        restart: "pooler_url", .optional(.connection), .none(), neededFor: .database,
        dependency: .init(
            key: "database_url",
            problem: "a pooler without database_url: the server itself is needed too, for notifications"),
        "a PgBouncer in transaction mode before `database_url`, for all but notifications and migrations (docs/growing.md)"
    )
    package let stateDirectory: Key<String?> = .init(
        restart: "state_directory", .optional(.text("path")),
        .derived("`$STATE_DIRECTORY`", initial: nil) { $1.environment["STATE_DIRECTORY"] },
        "where the private Postgres lives; not as root. One `run` at a time: a second one ends with 1 and touches nothing (a lock on `lark-gateway.lock`, which a killed process does not keep)"
    )
    package let transport: Key<Configuration.Transport> = .init(
        restart: "transport", .choice, .value(.auto),
        "what carries the WebSocket; `\"urlsession\"` is tried at the start and refused where Foundation can't do it")

    package let caFile: Key<String?> = .init(
        restart: "network.ca_file", .optional(.certificates), .none(),
        "certificates (PEM) of private authorities, trusted beside the system's")
    package let proxies: Key<Proxies> = .init(
        restart: "network.proxy", .proxy,
        .derived("`https_proxy`, `http_proxy`, `all_proxy`", initial: Proxies()) {
            try Configuration.proxies(environment: $1.environment)
        }, neededFor: .everything,
        "`http://`, `socks5://` (names are resolved here) or `socks5h://` (by the proxy), `[user:password@]host:port`; or a secret that holds one; `null`: none. For the WebSocket and HTTPS alike"
    )
    package let proxyExceptions: Key<[String]> = .init(
        restart: "network.no_proxy", .list(of: .proxyException),
        .derived("`no_proxy`, where there is a proxy", initial: []) { values, reading in
            values.proxies == Proxies() ? [] : Proxies.exceptions(environment: reading.environment)
        },
        "reached without it: hosts (and all below them), addresses, networks such as `\"10.0.0.0/8\"`, or `\"*\"`")

    package let isInsecureAllowed: Key<Bool> = .init(
        restart: "network.insecure", .flag, .value(false),
        "`true`: a `domain` of `http://` may be on another machine, though the app secret and all messages then go over the network in clear, and a public domain may name an endpoint of a private network. After an `https://` domain nothing goes in clear, whatever stands here"
    )

    package let handshakeTimeout: Key<Duration> = .init(
        restart: "long_connection.handshake_timeout", .duration, .value(LongConnectionSettings().handshakeTimeout),
        "from the first address tried to the end of the upgrade")
    package let pongTimeout: Key<Duration> = .init(
        restart: "long_connection.pong_timeout", .duration, .value(LongConnectionSettings().rules.pongPatience),
        "if nothing comes for this long after a ping, the connection counts as dead")
    package let readTimeout: Key<Duration> = .init(
        restart: "long_connection.read_timeout", .duration,
        .derived(
            "`\"6m\"`, at least `pong_timeout`", initial: LongConnectionSettings().rules.readPatience
        ) { values, _ in
            max(values.readTimeout, values.pongTimeout)
        }, "if nothing at all comes for this long, the connection counts as dead")
    package let maxFrame: Key<Int> = .init(
        restart: "long_connection.max_frame", .size(64 << 10...1 << 30),
        .derived("`max_message`", initial: WebSocketLimits().maxFrameBytes) { values, _ in values.maxMessage },
        "a larger frame ends the connection; Lark sends far smaller parts")
    package let maxMessage: Key<Int> = .init(
        restart: "long_connection.max_message", .size(64 << 10...1 << 30),
        .derived(
            "`\"16MiB\"`, at least `max_frame`", initial: WebSocketLimits().maxMessageBytes
        ) { values, _ in
            max(values.maxMessage, values.maxFrame)
        }, "a larger message ends the connection")

    package let agents: Key<[SettingValues<AgentKeys>]> = .init(
        reload: "agents", .list(of: .record(AgentKeys.self)), .value([]), "who answers")
    package let installations: Key<[SettingValues<InstallationKeys>]> = .init(
        reload: "installations", .list(of: .record(InstallationKeys.self)), .value([]), "the bots")

    package let workers: Key<[SettingValues<WorkerKeys>]> = .init(
        restart: "workers", .list(of: .record(WorkerKeys.self)), .value([]),
        "workers that reach the private Postgres as system users of their own")
    package let socketDirectory: Key<String?> = .init(
        restart: "socket_directory", .optional(.text("path")),
        .derived("`$RUNTIME_DIRECTORY`", initial: nil) { $1.environment["RUNTIME_DIRECTORY"] },
        "holds a folder for each user of `workers`, with the socket of the private Postgres: `host=DIRECTORY/USER`. The user's group alone can reach it"
    )

    package let silenceWindow: Key<Duration> = .init(
        reload: "batching.silence_window", .duration, .value(Batching().silenceWindow),
        "when a chat has been silent for this long, its burst becomes a run")
    package let maxWait: Key<Duration> = .init(
        reload: "batching.max_wait", .duration,
        .derived("`\"30s\"`, at least `silence_window`", initial: Batching().maxWait) { values, _ in
            max(values.maxWait, values.silenceWindow)
        }, "a chat that never falls silent gets its run after this")

    package let perChatAndSecond: Key<Int> = .init(
        reload: "send_limits.per_chat_second", .count(1...1_000), .value(SendLimits().perChatAndSecond),
        "how many messages are sent to one chat at the most, in any second; Lark's own limit, as the next two")
    package let perAppAndSecond: Key<Int> = .init(
        reload: "send_limits.per_app_second", .count(1...10_000), .value(SendLimits().perAppAndSecond),
        "the same for one bot in all its chats. Bots take turns: one with much to say keeps no other waiting")
    package let perAppAndMinute: Key<Int> = .init(
        reload: "send_limits.per_app_minute", .count(1...100_000), .value(SendLimits().perAppAndMinute),
        "the same in any minute")

    package let leaseTTL: Key<Duration> = .init(
        restart: "lease.ttl", .duration, .value(LeaseTiming().ttl),
        "how long a replica owns an installation without renewing")
    package let renewEvery: Key<Duration> = .init(
        restart: "lease.renew_every", .duration,
        .derived("a third of `lease.ttl`", initial: LeaseTiming().renewEvery) { values, _ in values.leaseTTL / 3 },
        "how often it renews; at most half of `lease.ttl`")

    package let sealingKey: Key<SealingKey?> = .init(
        reload: "sealing.key", .optional(.sealingKey), .required("required with `sealing`", initial: nil),
        neededFor: .sealing,
        "32 bytes in base64 or hexadecimal (`openssl rand -base64 32`): seals the app secrets that commands give (XChaCha20-Poly1305). Best a `credential:`"
    )
    package let previousSealingKeys: Key<[SealingKey]> = .init(
        reload: "sealing.previous", .list(of: .sealingKey), .value([]), neededFor: .sealing,
        "older keys that still open; `installation reseal` seals everything with `sealing.key`, then they may go")

    package let shutdownTimeout: Key<Duration> = .init(
        restart: "shutdown_timeout", .duration, .value(GatewaySettings.standardShutdownTimeout),
        "for receiving, flushing, sending and the leases at a stop; ending the tasks and the pool takes 8 s more at most, and then the private Postgres is stopped"
    )
    package let logLevel: Key<LogEvent.Level> = .init(
        reload: "log.level", .choice, .value(LogSettings().level), "events below it are not written")
    package let logFormat: Key<LogSettings.Format> = .init(
        reload: "log.format", .choice, .value(LogSettings().format), "one line an event; `\"text\"` is for people")
    package let metrics: Key<ListenAddress?> = .init(
        restart: "metrics.listen", .nullable(.listenAddress), .value(ListenAddress(host: "127.0.0.1", port: 9464)),
        "metrics and health; port 0: a free one, named in the log; `null`: off")

    package let publicURL: Key<URL?> = .init(
        restart: "public_url", .optional(.address), .none(),
        "where people reach the pairing page, such as `\"https://bots.example.com\"`; without it prompts carry a code")
    package let pairing: Key<ListenAddress?> = .init(
        restart: "pairing.listen", .optional(.listenAddress),
        .derived("`\"127.0.0.1:9465\"`, with `public_url`", initial: nil) { values, _ in
            values.publicURL == nil ? nil : ListenAddress(host: "127.0.0.1", port: 9465)
        },
        dependency: .init(key: "public_url", problem: pageWithoutURL),
        "where the page is served, on this machine alone unless `pairing.exposed` says otherwise; port 0: a free one, named in the log"
    )
    package let pairingIsExposed: Key<Bool> = .init(
        restart: "pairing.exposed", .flag, .value(false), dependency: .init(key: "public_url", problem: pageWithoutURL),
        "`true`: `pairing.listen` may be an address that other machines reach. The page is plain HTTP, so who listens on the way reads links that let people in: for a proxy on a network of its own"
    )
    private static let pageWithoutURL = "a pairing page without public_url: where people reach it"

    package let schema: Key<String?> = .init(
        reload: "$schema", .optional(.text("path")), .none(),
        "for editors alone, which then complete and check the file: `\"./config.schema.json\"`")

    /// What must hold between keys; a schema can't say it.
    struct Rule: Sendable {
        /// Of the key or section that is told of.
        let keyPath: String
        let problem: String
        /// Of what it is about; where one of them has a mistake, nobody knows whether the rule holds.
        let sections: [String]
        let holds: @Sendable (SettingValues<Settings>) -> Bool

        init(
            keyPath: String, problem: String, sections: [String]? = nil,
            holds: @escaping @Sendable (SettingValues<Settings>) -> Bool
        ) {
            self.keyPath = keyPath
            self.problem = problem
            self.sections = sections ?? [String(keyPath.prefix { $0 != "." })]
            self.holds = holds
        }
    }

    static let rules = [
        Rule(
            keyPath: "workers",
            problem: "database_url is set, so there is no private Postgres: use lark-gateway worker-role add"
        ) {
            $0.workers.isEmpty || $0.databaseURL == nil
        },
        Rule(keyPath: "workers", problem: "a user stands here twice") {
            Set($0.workers.map(\.user)).count == $0.workers.count
        },
        Rule(keyPath: "workers", problem: "more than 12 users") { $0.workers.count <= 12 },
        Rule(
            keyPath: "pairing.listen",
            problem:
                "others than this machine can reach it, and the page is plain HTTP: expected 127.0.0.1, or \"exposed\": true beside it"
        ) {
            $0.pairing?.isLoopback != false || $0.pairingIsExposed
        },
        Rule(
            keyPath: "transport", problem: "\"urlsession\" knows neither ca_file nor a proxy; use \"auto\"",
            sections: ["transport", "network"]
        ) {
            $0.transport != .urlsession || $0.caFile == nil && $0.proxies == Proxies() && $0.proxyExceptions.isEmpty
        },
        Rule(keyPath: "long_connection", problem: "read_timeout is shorter than pong_timeout") {
            $0.readTimeout >= $0.pongTimeout
        },
        Rule(keyPath: "long_connection", problem: "max_frame is larger than max_message") {
            $0.maxFrame <= $0.maxMessage
        },
        Rule(keyPath: "batching", problem: "max_wait is shorter than silence_window") {
            $0.maxWait >= $0.silenceWindow
        },
        Rule(keyPath: "lease", problem: "renew_every must be at most half of ttl") {
            $0.renewEvery * 2 <= $0.leaseTTL
        },
    ]
}

/// The keys of an element of `workers`.
package struct WorkerKeys: SettingKeys {
    package typealias Key<Value: Sendable> = Setting<WorkerKeys, Value>

    package static let keys = WorkerKeys()
    package static let all = declared(in: keys)
    package static let entries = SettingEntry.entries(of: all)

    package let user: Key<String> = .init(
        restart: "user", .userName, .required(initial: ""),
        "a system user, who becomes a database role of the same name with the rights of a worker. At most 12 users, which share 60 connections"
    )
    package let runtimes: Key<[String]> = .init(
        restart: "runtimes", .list(of: .text()), .value(["default"]), "the runtimes whose tasks it may claim and answer"
    )
}

/// The keys of an element of `agents`.
package struct AgentKeys: SettingKeys {
    package typealias Key<Value: Sendable> = Setting<AgentKeys, Value>

    package static let keys = AgentKeys()
    package static let all = declared(in: keys)
    package static let entries = SettingEntry.entries(of: all)

    package let workspace: Key<String> = .init(
        reload: "workspace", .text(), .required(initial: ""), "whose the agent is")
    package let name: Key<String> = .init(
        reload: "name", .text(), .required(initial: ""), "the agent's name, unique in its workspace")
    package let runtime: Key<String?> = .init(
        reload: "runtime", .nullable(.text()), .value("default"), "which workers run it; `null`: offline")
    package let mayMentionAll: Key<Bool> = .init(
        reload: "may_mention_all", .flag, .value(false),
        "whether what it says may mention everybody in a chat; else the mention becomes the word `@all`")
}

/// The keys of an element of `installations`.
package struct InstallationKeys: SettingKeys {
    package typealias Key<Value: Sendable> = Setting<InstallationKeys, Value>

    package static let keys = InstallationKeys()
    package static let all = declared(in: keys)
    package static let entries = SettingEntry.entries(of: all)

    package let appID: Key<String> = .init(
        reload: "app_id", .appID, .required(initial: ""), "from the developer console")
    package let appSecret: Key<String> = .init(
        reload: "app_secret", .secret(), .required(initial: ""), neededFor: .everything, "from the developer console")
    package let domain: Key<String> = .init(
        reload: "domain", .domain, .value("feishu"),
        "the platform; a URL is that of a test server, of `http://` on this machine alone unless `network.insecure` says otherwise"
    )
    package let workspace: Key<String> = .init(reload: "workspace", .text(), .required(initial: ""), "whose the bot is")
    package let agent: Key<String> = .init(
        reload: "agent", .text(), .required(initial: ""),
        "who answers. An agent that is not in `agents` is made, with the runtime `default`")
    package let access: Key<InstallationSettings.Access> = .init(
        reload: "access", .choice, .value(.pairing),
        "`\"pairing\"`: an unknown sender is asked to bind; `\"open\"`: becomes a member with their first message")
    package let locale: Key<InstallationSettings.Locale> = .init(
        reload: "locale", .choice,
        .derived("`\"zh\"` for feishu, else `\"en\"`", initial: .zh) { values, _ in locale(of: values.domain) },
        "the language of notices")
    package let strangersInContext: Key<InstallationSettings.StrangersInContext> = .init(
        reload: "strangers_in_context", .choice,
        .derived("`\"omit\"` with `\"pairing\"`, else `\"include\"`", initial: .omit) { values, _ in
            values.access == .pairing ? .omit : .include
        },
        "whether `group_context` holds what people say in a group who are not let in; where it does, they have `\"is_member\": false`"
    )

    static func locale(of domain: String) -> InstallationSettings.Locale { domain == "feishu" ? .zh : .en }

    static func url(_ domain: String, at path: String, isInsecureAllowed: Bool) throws -> URL {
        guard let url = platformURL(domain) else {
            throw ConfigurationError(keyPath: path, problem: "expected \"feishu\", \"lark\" or an http(s) URL")
        }
        guard isInsecureAllowed || !url.isInClear else {
            throw ConfigurationError(
                keyPath: path,
                problem:
                    "http:// carries the app secret and all messages in clear: expected https://, a host of this machine such as 127.0.0.1, or \"network\": {\"insecure\": true}"
            )
        }
        return url
    }
}
