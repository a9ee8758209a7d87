import Configuration
import Foundation
import Gateway
import Output
import Postgres
import Store

/// `installation ...`: bots, from another process than the gateway's, which hears of it at once. What `set-secret`,
/// `revoke` and `restore` say counts until `reset`, whatever the configuration file says.
enum InstallationCommand {
    static let usage: TerminalText = """
        installation list [--limit N] [--json] | add APP_ID --workspace W --agent A --secret SOURCE [--domain feishu|lark|URL] [--access pairing|open] [--locale en|zh]
                | set-secret APP_ID --secret SOURCE [--domain D] | revoke APP_ID | restore APP_ID | reset APP_ID | reseal
        SOURCE is \(Arguments.sources)
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(
            words, known: ["config", "workspace", "agent", "secret", "domain", "access", "locale", "limit"],
            flags: ["json"])
        let format = try ListFormat(arguments)
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let seals = ["add", "set-secret", "reseal"].contains(arguments.positional.first)
        let configuration = try arguments.loadConfiguration(for: seals ? .sealing : .database)
        return try await Administration.run("installation", arguments, configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("list", 1):
                output.say(try await repository.installationStatuses(limit: arguments.limit()), as: format)
                return ExitCode.done
            case ("add", 2): return try await add(arguments, configuration, repository)
            case ("set-secret", 2): return try await setSecret(arguments, configuration, repository)
            case ("revoke", 2):
                return say(
                    try await repository.revokeInstallation(arguments.positional[1], by: Administrator.name),
                    "revoked: its connection is closed, and what still comes is dropped",
                    "no active installation of \(arguments.positional[1])")
            case ("restore", 2):
                return say(
                    try await repository.restoreInstallation(arguments.positional[1], by: Administrator.name),
                    "active again", "no revoked installation of \(arguments.positional[1])")
            case ("reset", 2):
                return Overrides.said(
                    try await repository.resetInstallation(arguments.positional[1]),
                    of: "installation of \(arguments.positional[1])")
            case ("reseal", 1): return try await reseal(configuration, repository)
            default: throw UsageError(usage)
            }
        }
    }

    private static func say(_ isDone: Bool, _ done: TerminalText, _ failed: TerminalText) -> Int32 {
        Terminal.say(isDone ? done : failed)
        return isDone ? ExitCode.done : ExitCode.failed
    }

    private static let output = ListOutput<InstallationStatus>(
        name: "installations",
        head: ["APP", "WORKSPACE/AGENT", "STATE", "ACCESS", "FROM", "SECRET", "OVERRIDES"],
        cells: { row in
            [
                row.appID, "\(row.workspace)/\(row.agent)", state(row), row.access, row.origin,
                row.sealedKeyID.map { "sealed with \($0)" } ?? "in the file", Overrides.cell(row.overrides),
            ]
        },
        object: { row in
            [
                "app_id": .string(row.appID), "workspace": .string(row.workspace), "agent": .string(row.agent),
                "status": .string(row.status), "access": .string(row.access), "from": .string(row.origin),
                "sealed_key_id": OrderedJSON(row.sealedKeyID), "secret_locked": .boolean(row.state == .locked),
                "overrides": Overrides.json(row.overrides),
            ]
        })

    private static func state(_ row: InstallationStatus) -> String {
        row.state == .locked ? "\(row.status), locked" : row.status
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
            appID: appID, appSecret: arguments.secret("secret"), domain: arguments.options["domain"] ?? "feishu",
            workspace: arguments.required("workspace"), agent: arguments.required("agent"),
            access: arguments.options["access"], locale: arguments.options["locale"],
            isInsecureAllowed: configuration.isInsecureAllowed)
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
        let key = try sealingKey(configuration)
        let given = try arguments.options["domain"].map {
            try InstallationSettings.domain(option: $0, isInsecureAllowed: configuration.isInsecureAllowed)
                .absoluteString
        }
        let listed = configuration.installations.first { $0.appID == appID }?.domain.absoluteString
        if let listed, let given, given != listed {
            throw UsageError(
                "--domain: the domain of \(appID) stands in the configuration file: \(DomainText.shown(listed))")
        }
        let secret = try arguments.secret("secret")
        guard let known = try await repository.sealedSecret(of: appID) else {
            Terminal.say("no installation of \(appID)")
            return ExitCode.failed
        }
        // A domain of the file is as good as one that was typed.
        guard let domain = given ?? listed ?? trusted(known, appID, configuration.sealing) else {
            // Otherwise whoever changed the row would be given the secret by who mends it.
            Terminal.say(
                """
                the domain of \(appID) in the database is \(DomainText.shown(known.domain)), for which no secret was given before.
                Where that is right, say so with --domain URL. Where it is not, give the right one: the secret goes there.
                """)
            return ExitCode.failed
        }
        return say(
            try await repository.setSecret(
                secret, of: appID, at: domain, knownAs: known.domain, sealedWith: key, by: Administrator.name),
            listed == nil
                ? "stored for \(DomainText.shown(domain)): the connection is made again with it"
                : """
                stored for \(DomainText.shown(domain)): the connection is made again with it
                It counts before the secret in the configuration file, until: installation reset \(appID)
                """,
            "the domain of \(appID) was changed at this moment: nothing is stored, try again")
    }

    /// - Returns: the domain of the row, where it is the platform's own, or a secret was given for it with one of these
    ///   keys; else nil.
    private static func trusted(
        _ row: (domain: String, sealed: [UInt8]?, keyID: String?), _ appID: String, _ keys: SealingKeys
    ) -> String? {
        if SealingKey.platformDomains.contains(row.domain) { return row.domain }
        guard let sealed = row.sealed, let key = row.keyID.flatMap(keys.key) else { return nil }
        return (try? key.open(sealed, for: appID, at: row.domain)).map { _ in row.domain }
    }

    /// Every secret with the current key and for its domain, where an older one opens it.
    private static func reseal(_ configuration: Configuration, _ repository: Repository) async throws -> Int32 {
        let current = try sealingKey(configuration)
        var isGood = true
        let rows = try await repository.sealedSecrets()
        var resealed: [(row: (appID: String, domain: String, sealed: [UInt8], keyID: String), sealed: [UInt8])] = []
        for row in rows where row.keyID != current.id {
            guard let key = configuration.sealing.key(row.keyID) else {
                Terminal.say("\(row.appID): sealed with the key \(row.keyID), which is not in sealing.previous")
                isGood = false
                continue
            }
            do throws(SealingKey.Failure) {
                let secret = try key.open(row.sealed, for: row.appID, at: row.domain)
                let sealed = current.seal(secret, for: row.appID, at: row.domain)
                resealed.append((row, sealed))
            } catch {
                Terminal.say(
                    """
                    \(row.appID): \(error); the domain in the database is \(DomainText.shown(row.domain)).
                    Give its secret again: installation set-secret \(row.appID) --domain D
                    """)
                isGood = false
            }
        }
        for (row, sealed) in resealed {
            let isDone = try await repository.reseal(
                row.appID, former: row.sealed, sealed: sealed, keyID: current.id, at: row.domain)
            Terminal.say(
                isDone
                    ? "\(row.appID): sealed with \(current.id) now"
                    : "\(row.appID): was changed at this moment; try again")
            isGood = isGood && isDone
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
}
