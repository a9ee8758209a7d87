import Configuration
import Foundation
import Gateway
import Output
import Postgres
import Store

/// `installation ...`: bots, from another process than the gateway's, which hears of it at once.
enum InstallationCommand {
    static let usage: TerminalText = """
        installation list | add APP_ID --workspace W --agent A --secret SOURCE [--domain feishu|lark|URL] [--access pairing|open] [--locale en|zh]
                | set-secret APP_ID --secret SOURCE | revoke APP_ID | restore APP_ID | reseal, each with --config FILE
        SOURCE is \(sources)
        """
    private static let sources: TerminalText = "env:NAME, file:/path, credential:name, or - for standard input"

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(
            words, known: ["config", "workspace", "agent", "secret", "domain", "access", "locale"])
        let seals = ["add", "set-secret", "reseal"].contains(arguments.positional.first)
        let configuration = try Configuration.load(
            path: arguments.required("config"), for: seals ? .sealing : .database)
        return try await Database.withRepository(configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("list", 1): return try await list(repository)
            case ("add", 2): return try await add(arguments, configuration, repository)
            case ("set-secret", 2): return try await setSecret(arguments, configuration, repository)
            case ("revoke", 2):
                return say(
                    try await repository.revokeInstallation(arguments.positional[1]),
                    "revoked: its connection is closed, and what still comes is dropped",
                    "no active installation of \(arguments.positional[1])")
            case ("restore", 2):
                return say(
                    try await repository.restoreInstallation(arguments.positional[1]), "active again",
                    "no revoked installation of \(arguments.positional[1])")
            case ("reseal", 1): return try await reseal(configuration, repository)
            default: throw UsageError(usage)
            }
        }
    }

    private static func say(_ isDone: Bool, _ done: TerminalText, _ failed: TerminalText) -> Int32 {
        Terminal.say(isDone ? done : failed)
        return isDone ? ExitCode.done : ExitCode.failed
    }

    private static func list(_ repository: Repository) async throws -> Int32 {
        Terminal.sayTable(
            ["APP", "WORKSPACE/AGENT", "STATE", "ACCESS", "FROM", "SECRET"],
            try await repository.installationStatuses().map { row in
                [
                    row.appID, "\(row.workspace)/\(row.agent)", row.status, row.access, row.origin,
                    row.sealedKeyID.map { "sealed with \($0)" } ?? "in the file",
                ]
            })
        return ExitCode.done
    }

    private static func add(
        _ arguments: Arguments, _ configuration: Configuration, _ repository: Repository
    ) async throws -> Int32 {
        let key = try sealingKey(configuration)
        let appID = arguments.positional[1]
        if configuration.installations.contains(where: { $0.appID == appID }) {
            throw UsageError("\(appID) stands in the configuration file already, which is what counts")
        }
        let settings = try InstallationSettings(
            appID: appID, appSecret: secret(arguments), domain: arguments.options["domain"] ?? "feishu",
            workspace: arguments.required("workspace"), agent: arguments.required("agent"),
            access: arguments.options["access"], locale: arguments.options["locale"])
        do {
            let was = try await repository.addInstallation(settings, sealedWith: key)
            Terminal.say(was == "new" ? "installed" : "installed: it was \(was), and keeps its members")
            return ExitCode.done
        } catch PostgresError.statement(let error) where error.sqlState == "GW002" {
            Terminal.say("\(error.message): revoke it there first")
            return ExitCode.failed
        }
    }

    private static func setSecret(
        _ arguments: Arguments, _ configuration: Configuration, _ repository: Repository
    ) async throws -> Int32 {
        let appID = arguments.positional[1]
        if configuration.installations.contains(where: { $0.appID == appID }) {
            throw UsageError("the secret of \(appID) stands in the configuration file: change it there, and reload")
        }
        let isKnown = try await repository.putSecret(
            secret(arguments), of: appID, sealedWith: sealingKey(configuration))
        return say(isKnown, "stored: the connection is made again with it", "no installation of \(appID)")
    }

    /// Every secret with the current key, where an older one opens it.
    private static func reseal(_ configuration: Configuration, _ repository: Repository) async throws -> Int32 {
        let current = try sealingKey(configuration)
        var isGood = true
        for row in try await repository.sealedSecrets() where row.keyID != current.id {
            guard let key = configuration.sealing.key(row.keyID) else {
                Terminal.say("\(row.appID): sealed with the key \(row.keyID), which is not in sealing.previous")
                isGood = false
                continue
            }
            do {
                let secret = try key.open(row.sealed, for: row.appID)
                _ = try await repository.putSecret(secret, of: row.appID, sealedWith: current)
                Terminal.say("\(row.appID): sealed with \(current.id) now")
            } catch let error as SealingKey.Failure {
                Terminal.say("\(row.appID): \(error)")
                isGood = false
            }
        }
        return isGood ? ExitCode.done : ExitCode.failed
    }

    private static func sealingKey(_ configuration: Configuration) throws -> SealingKey {
        guard let key = configuration.sealing.current else {
            throw ConfigurationError(
                keyPath: "sealing.key", problem: "missing: a secret that is given by command is sealed with it")
        }
        return key
    }

    private static func secret(_ arguments: Arguments) throws -> String {
        let source = try arguments.required("secret")
        if source == "-" {
            let text = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            guard !text.isEmpty else { throw UsageError("--secret -: nothing came on standard input") }
            return text
        }
        guard ["env:", "file:", "credential:"].contains(where: source.hasPrefix) else {
            throw UsageError(
                "--secret: a secret on the command line is seen by everybody; use \(sources)"
            )
        }
        return try Secret.resolve(source, option: "--secret", environment: ProcessInfo.processInfo.environment)
    }
}
