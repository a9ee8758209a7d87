import AsyncRuntime
import Configuration
import Curl
import Foundation
import Gateway
import Lark
import Output
import Store

/// `check`: is everything right, without changing anything?
enum CheckCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config"])
        try arguments.refusePositional()
        let file = arguments.configurationFile
        let configuration = try file.load(leavesOut: true)
        Terminal.say(
            "ok    configuration: \(configuration.installations.count) installations, \(configuration.agents.count) agents"
        )
        let exposed = configuration.exposedFiles(of: file.path, in: file.surroundings)
        for file in exposed { Terminal.say("FAIL  \(file.path): \(file.problem); type: \(file.remedy)") }
        for (key, problem) in configuration.warnings + configuration.remarks {
            Terminal.say("warn  \(key): \(problem)")
        }
        try await configuration.checkTransport()
        let proxy = configuration.network.proxies.https.map { " through the proxy \($0.address)" } ?? ""
        Terminal.say("ok    transport: \(configuration.transportKind.rawValue)\(proxy)")
        let unread = configuration.outOfReach
        var code = exposed.isEmpty && unread.isEmpty ? ExitCode.done : ExitCode.failed
        if !unread.isEmpty { sayOutOfReach(unread, file) }
        code = max(code, await CheckPorts.run(configuration))
        if unread.contains(where: { $0.keyPath == "database_url" }) {
            Terminal.say("skip  database: database_url is not readable here")
        } else {
            if configuration.databaseURL == nil, let directory = configuration.stateDirectory {
                code = max(code, CheckStateDirectory.run(directory, file))
            }
            let database = await CheckDatabase.run(configuration)
            code = max(code, database)
            if database == ExitCode.done { code = max(code, await CheckChanges.tell(of: configuration)) }
        }
        for (index, installation) in configuration.installations.enumerated() {
            let keys = ["installations[\(index)].app_secret", "network.proxy"]
            if let missing = unread.first(where: { keys.contains($0.keyPath) }) {
                Terminal.say("skip  \(installation.appID): \(missing.keyPath) is not readable here")
                continue
            }
            // A wrong configuration outweighs the rest.
            if await !checkInstallation(installation, configuration.network) { code = max(code, ExitCode.failed) }
        }
        return code
    }

    private static func sayOutOfReach(_ unread: [ConfigurationError.Mistake], _ file: ConfigurationFile) {
        for mistake in unread { Terminal.say("FAIL  \(mistake)") }
        let count = unread.count == 1 ? "1 secret is" : "\(unread.count) secrets are"
        Terminal.say(
            geteuid() == 0
                ? "FAIL  \(count) not readable here, also not by root: no installed unit runs with this file"
                : "FAIL  \(count) not readable here: run it as root: sudo lark-gateway check\(file.option)")
    }

    private static func checkInstallation(
        _ settings: InstallationSettings, _ network: NetworkSettings
    ) async -> Bool {
        let http = HTTPExchange(settings: network)
        let api = OpenAPIClient(
            domain: settings.domain, appID: settings.appID, appSecret: settings.appSecret, http: http)
        do {
            try await api.checkCredentials()
            let bot = try await api.botIdentity()
            // The endpoint is asked for, and not used: no connection is made that would take messages away.
            _ = try await EndpointBootstrap(domain: settings.domain, http: http)
                .fetch(appID: settings.appID, appSecret: settings.appSecret)
            let union =
                bot.unionID == nil ? "; its union_id is unknown: several bots in one group can't be told apart" : ""
            Terminal.say(
                """
                ok    \(settings.appID): credentials and long connection are good, bot \(bot.openID ?? "unknown")\(union)
                      no other process may hold a connection with this app: it would take part of its messages
                """)
            return true
        } catch {
            Terminal.say("FAIL  \(settings.appID): \(error)")
            return false
        }
    }
}
