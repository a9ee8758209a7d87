import AsyncRuntime
import Configuration
import Gateway
import Output
import Postgres
import Store

/// `migrate`: brings the schema up to date; with `--grant` makes the roles too.
enum MigrateCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "admin-url"], flags: ["grant"], repeatable: ["runtime"])
        try arguments.refusePositional()
        let configuration = try arguments.loadConfiguration(for: .database)
        if arguments.flags.contains("grant") { return try await MigrateGrant.run(arguments, configuration) }
        guard arguments.options["admin-url"] == nil, arguments.lists["runtime"] == nil else {
            throw UsageError("--admin-url and --runtime belong to --grant")
        }
        try await Database.refusePooler(configuration)
        guard configuration.databaseURL == nil else { return try await migrate(try Database.url(configuration)) }
        do {
            return try await Database.withPrivateServer(configuration) { try await migrate(on: $0) }
        } catch StateDirectoryLock.Failure.held {
            // A running gateway's server, which it keeps.
            return try await migrate(try Database.url(configuration))
        }
    }

    /// A server that is not running is started for the migration alone.
    private static func migrate(on server: PrivatePostgres) async throws -> Int32 {
        let wasRunning = try await server.start(deadline: .after(.seconds(120)))
        let code: Int32
        do {
            code = try await migrate(server.url)
        } catch {
            if !wasRunning { try? await server.stop(deadline: .after(.seconds(30))) }
            throw error
        }
        if !wasRunning { try await server.stop(deadline: .after(.seconds(30))) }
        return code
    }

    private static func migrate(_ url: String) async throws -> Int32 {
        let pool = Pool(url: url, size: 1, mustWrite: true)
        let applied = try await Database.explainingLacks(at: url, for: .gateway) {
            try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(600)))
        }
        await pool.close()
        for change in applied { Terminal.say("\(change)") }
        if applied.isEmpty { Terminal.say("the schema is up to date") }
        return ExitCode.done
    }
}
