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
        let path = arguments.configurationFile.path
        let configuration = try arguments.loadConfiguration()
        Terminal.say(
            "ok    configuration: \(configuration.installations.count) installations, \(configuration.agents.count) agents"
        )
        let exposed = configuration.exposedFiles(of: path)
        for file in exposed { Terminal.say("FAIL  \(file.path): \(file.problem); type: \(file.remedy)") }
        for (key, problem) in configuration.warnings + configuration.remarks {
            Terminal.say("warn  \(key): \(problem)")
        }
        try await configuration.checkTransport()
        let proxy = configuration.network.proxies.https.map { " through the proxy \($0.address)" } ?? ""
        Terminal.say("ok    transport: \(configuration.transportKind.rawValue)\(proxy)")
        var code = max(await CheckDatabase.run(configuration), exposed.isEmpty ? ExitCode.done : ExitCode.failed)
        for installation in configuration.installations {
            // A wrong configuration outweighs the rest.
            if await !checkInstallation(installation, configuration.network) { code = max(code, ExitCode.failed) }
        }
        return code
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
