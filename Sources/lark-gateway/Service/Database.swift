import Configuration
import AsyncRuntime
import Foundation
import Gateway
import Postgres
import Store

/// The server that a configuration means: its own, or a private one.
enum Database {
    /// The private server of a configuration without `database_url`.
    static func privateServer(_ configuration: Configuration) throws -> PrivatePostgres {
        PrivatePostgres(
            directory: try stateDirectory(configuration) + "/postgres", workers: configuration.workerDoors)
    }

    /// For who starts and stops the private server: nobody else does so meanwhile.
    /// - Throws: `StateDirectoryLock.Failure` when another process may, before anything is touched; and what `body`
    ///   throws.
    static func withPrivateServer<T: Sendable>(
        _ configuration: Configuration, _ body: (PrivatePostgres) async throws -> T
    ) async throws -> T {
        let server = try privateServer(configuration)
        // Before the lock's file is made: root's would be closed to the service's user.
        guard geteuid() != 0 else { throw PrivatePostgres.Failure.runsAsRoot }
        try PrivateFolder.check(try stateDirectory(configuration), .readable)
        return try await StateDirectoryLock.withLock(on: try stateDirectory(configuration)) { try await body(server) }
    }

    private static func stateDirectory(_ configuration: Configuration) throws -> String {
        guard let directory = configuration.stateDirectory else {
            let bots =
                configuration.installations.isEmpty
                ? "; there is no bot in the file either (installations: README, \"Five minutes to the first reply\")"
                : ""
            throw ConfigurationError(
                keyPath: "database_url",
                problem: "missing, and there is no $STATE_DIRECTORY for a Postgres of the gateway's own: set "
                    + "database_url, state_directory, or StateDirectory= in the systemd unit\(bots)")
        }
        return directory
    }

    /// For commands that change or look at a running gateway's database.
    /// - Throws: `SchemaLack`, and what `body` throws.
    static func withRepository(
        _ configuration: Configuration, _ body: (Repository) async throws -> Int32
    ) async throws -> Int32 {
        let url = try url(configuration)
        let pool = Pool(url: url, size: 1, preparesStatements: false, limits: Repository.sessionLimits)
        do {
            let status = try await explainingLacks(at: url, for: .command) { try await body(Repository(pool: pool)) }
            await pool.close()
            return status
        } catch {
            await pool.close()
            throw error
        }
    }

    /// A pooler that shares the server's sessions works only as `pooler_url`.
    /// - Throws: `ConfigurationError`, `PostgresError.connection`.
    static func refusePooler(_ configuration: Configuration) async throws {
        guard let url = configuration.databaseURL,
            try await SharedSessions.areFound(behind: url, deadline: .after(.seconds(5)))
        else { return }
        let remedy =
            configuration.poolerURL == nil
            ? "set pooler_url to this URL, and database_url to the server itself"
            : "set database_url to the server itself; pooler_url is for the pooler"
        throw ConfigurationError(
            keyPath: "database_url",
            problem: "found a pooler that shares the server's sessions between connections, such as PgBouncer in "
                + "transaction mode, where prepared statements, LISTEN and migrations do not work; \(remedy) "
                + "(docs/growing.md)")
    }

    /// For commands that use a running gateway's database: where it is, without starting anything.
    static func url(_ configuration: Configuration) throws -> String {
        if let url = configuration.databaseURL { return url }
        return try privateServer(configuration).url
    }
}
