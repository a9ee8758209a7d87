import AsyncRuntime
import Configuration
import Foundation
import Output
import Postgres
import Store

/// The part of `check` that looks at the database: the way to it, the server, the rights, the schema.
enum CheckDatabase {
    private static let patience = Duration.seconds(10)

    /// - Returns: the exit code.
    static func run(_ configuration: Configuration) async -> Int32 {
        do {
            if configuration.databaseURL == nil {
                let server = try Database.privateServer(configuration)
                guard FileManager.default.fileExists(atPath: server.directory + "/data/postmaster.pid") else {
                    Terminal.say("ok    database: a private Postgres in \(server.directory), not running now")
                    return ExitCode.done
                }
            }
            warnOfTheWay(configuration)
            try await Database.refusePooler(configuration)
            let pool = Pool(url: try Database.url(configuration), size: 1)
            do {
                let code = try await look(at: pool)
                await pool.close()
                return code
            } catch {
                await pool.close()
                throw error
            }
        } catch let error as ConfigurationError {
            Terminal.say("FAIL  \(error)")
            return ExitCode.configuration
        } catch {
            Terminal.say("FAIL  database: \(error)")
            return ExitCode.failed
        }
    }

    /// What would end a start comes first. Rights are asked for, and nothing is tried.
    private static func look(at pool: Pool) async throws -> Int32 {
        let version = try await pool.query(
            Statement(name: "version", sql: "SELECT current_setting('server_version_num')::int AS number"),
            deadline: .after(patience))
        let number: Int = try version.first?.value("number") ?? 0
        guard number >= 140_000 else {
            Terminal.say("FAIL  database: Postgres \(number / 10_000) is too old; 14 or newer is needed")
            return ExitCode.failed
        }
        let writability = try Writability(try await pool.query(Writability.statement, deadline: .after(patience)))
        guard writability == .writable else {
            Terminal.say("FAIL  database: \(writability)")
            return ExitCode.failed
        }
        let access = try SchemaAccess(try await pool.query(SchemaAccess.statement, deadline: .after(patience)))
        if let lack = access.lack(for: .gateway) {
            Terminal.say("FAIL  database_url: \(lack.description)")
            if access.mayWork {
                Terminal.say("      the role is one for workers: lark-gateway worker needs no more than that")
            }
            return ExitCode.failed
        }
        let missing = try await GatewaySchema.migrator.missing(in: pool, deadline: .after(patience))
        let logging = try StatementLogging(
            try await pool.query(StatementLogging.statement, deadline: .after(patience)))
        let schema =
            missing.isEmpty
            ? "the schema is up to date"
            : "to be applied: " + missing.map(\.description).joined(separator: "; ")
        Terminal.say("ok    database: Postgres \(number / 10_000), \(schema)")
        for warning in logging.warnings { Terminal.say("warn  database: \(warning)") }
        return ExitCode.done
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
}
