import AsyncRuntime
import Configuration
import Curl
import Foundation
import Gateway
import Lark
import Output
import Postgres
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
        var code = max(await checkDatabase(configuration), exposed.isEmpty ? ExitCode.done : ExitCode.failed)
        for installation in configuration.installations {
            // A wrong configuration outweighs the rest.
            if await !checkInstallation(installation, configuration.network) { code = max(code, ExitCode.failed) }
        }
        return code
    }

    /// - Returns: the exit code.
    private static func checkDatabase(_ configuration: Configuration) async -> Int32 {
        do {
            if configuration.databaseURL == nil {
                let server = try Database.privateServer(configuration)
                guard geteuid() != 0 else { throw PrivatePostgres.Failure.runsAsRoot }
                guard FileManager.default.fileExists(atPath: server.directory + "/data/postmaster.pid") else {
                    Terminal.say("ok    database: a private Postgres in \(server.directory), not running now")
                    return ExitCode.done
                }
            }
            warnOfTheWay(configuration)
            try await Database.refusePooler(configuration)
            let pool = Pool(url: try Database.url(configuration), size: 1)
            let missing = try await GatewaySchema.migrator.missing(in: pool, deadline: .after(.seconds(10)))
            let version = try await pool.query(
                Statement(name: "version", sql: "SELECT current_setting('server_version_num')::int AS number"),
                deadline: .after(.seconds(10)))
            let writability = try Writability(
                try await pool.query(Writability.statement, deadline: .after(.seconds(10))))
            let logging = try StatementLogging(
                try await pool.query(StatementLogging.statement, deadline: .after(.seconds(10))))
            await pool.close()
            let number: Int = try version.first?.value("number") ?? 0
            guard number >= 140_000 else {
                Terminal.say("FAIL  database: Postgres \(number / 10_000) is too old; 14 or newer is needed")
                return ExitCode.failed
            }
            guard writability == .writable else {
                Terminal.say("FAIL  database: \(writability)")
                return ExitCode.failed
            }
            let schema =
                missing.isEmpty
                ? "the schema is up to date"
                : "to be applied: " + missing.map(\.description).joined(separator: "; ")
            Terminal.say("ok    database: Postgres \(number / 10_000), \(schema)")
            for warning in logging.warnings { Terminal.say("warn  database: \(warning)") }
            return ExitCode.done
        } catch let error as ConfigurationError {
            Terminal.say("FAIL  \(error)")
            return ExitCode.configuration
        } catch {
            Terminal.say("FAIL  database: \(error)")
            return ExitCode.failed
        }
    }

    private static func warnOfTheWay(_ configuration: Configuration) {
        let urls = [("database_url", configuration.databaseURL), ("pooler_url", configuration.poolerURL)]
        for (key, url) in urls {
            guard let url,
                let way = ConnectionText.unverifiedWay(url, environment: ProcessInfo.processInfo.environment)
            else { continue }
            Terminal.say(
                """
                warn  \(key): \(way.hosts.joined(separator: ", ")) is not this machine, and sslmode is \(way.sslMode): \
                who stands in between can read everything, or pretend to be the server. Set sslmode=verify-full, and \
                sslrootcert where the authority is your own
                """)
        }
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
