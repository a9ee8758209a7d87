import AsyncRuntime
import Configuration
import Foundation
import Gateway
import Output
import Postgres
import Store

/// The part of `check` that says what a start or a reload of the file would change of agents and bots. Which keys need
/// a restart depends on the daemon that runs, and is not known here.
enum CheckChanges {
    /// Of a database that `check` found good.
    /// - Returns: the exit code.
    static func tell(of configuration: Configuration) async -> Int32 {
        do {
            if configuration.databaseURL == nil {
                let server = try Database.privateServer(configuration)
                guard FileManager.default.fileExists(atPath: server.directory + "/data/postmaster.pid") else {
                    return ExitCode.done
                }
            }
            let settings = configuration.gatewaySettings(databaseURL: try Database.url(configuration))
            return try await Database.withRepository(configuration) { repository in
                let missing = try await GatewaySchema.migrator.missing(
                    in: repository.pool, deadline: .after(.seconds(10)))
                guard missing.isEmpty else {
                    Terminal.say("ok    changes: not known before the schema is up to date")
                    return ExitCode.done
                }
                tell(try await repository.previewConfiguration(settings.configured))
                return ExitCode.done
            }
        } catch let error as RevokesEveryBot {
            Terminal.say("FAIL  installations: \("\(error)"); \(error.hint)")
            return ExitCode.configuration
        } catch PostgresError.statement(let error) where error.sqlState == "GW002" {
            Terminal.say("FAIL  installations: a start or reload is refused: \(error.message)")
            return ExitCode.failed
        } catch {
            Terminal.say("warn  changes: they can't be told now: \("\(error)")")
            return ExitCode.done
        }
    }

    private static func tell(_ changes: [ConfigurationChange]) {
        guard !changes.isEmpty else {
            return Terminal.say("ok    changes: a start or reload would leave agents and bots as they are")
        }
        // What takes something away is said first, also of a list that is cut short.
        let ordered = changes.filter(\.takesAway) + changes.filter { !$0.takesAway }
        for change in ordered.prefix(most) {
            Terminal.say("\(change.takesAway ? "warn" : "ok  ")  changes: \(change.words)")
        }
        if ordered.count > most { Terminal.say("ok    changes: and \(ordered.count - most) more") }
    }

    private static let most = 100
}

extension ConfigurationChange {
    fileprivate var takesAway: Bool { ["revoked", "archived", "stays_revoked"].contains(change) }

    fileprivate var words: String {
        switch change {
        case "added": "would add \(name)"
        case "restored": "would restore \(name)"
        case "revoked": "would revoke \(name): the file does not name it any more"
        case "archived": "would archive \(name): the file does not name it any more"
        case "stays_revoked": "\(name) stays revoked: a command revoked it, and installation restore takes that back"
        default: "\(name): \(change)"
        }
    }
}
