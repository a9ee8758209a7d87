import Configuration
import AsyncRuntime
import Foundation
import Gateway
import Postgres
import Worker

/// `worker`: runs a command per task; the conversation as JSON on its stdin, the reply from its stdout.
enum WorkerCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(
            words, known: ["config", "runtime", "concurrency", "timeout", "lease", "attempts"])
        try arguments.refusePositional()
        guard !arguments.command.isEmpty else { throw UsageError("the command to run stands behind --") }
        guard let concurrency = Int(arguments.options["concurrency"] ?? "1"), (1...256).contains(concurrency) else {
            throw UsageError("--concurrency takes a number from 1 to 256")
        }
        guard let attempts = Int(arguments.options["attempts"] ?? "1"), (1...10).contains(attempts) else {
            throw UsageError("--attempts takes a number from 1 to 10")
        }
        let runtime = try arguments.required("runtime")
        let configuration = try Configuration.load(path: arguments.required("config"), for: .database)
        let signals = StopSignals()
        let logger = LogWriter(settings: configuration.log).logger
        try await refusePooler(configuration, until: signals.stop, logger)
        let worker = Worker(
            url: try Database.url(configuration), runtime: runtime, command: arguments.command,
            concurrency: concurrency, timeout: try arguments.duration("timeout") ?? .seconds(600), attempts: attempts,
            lease: try arguments.duration("lease") ?? .seconds(60),
            logger: logger)
        await worker.run(until: signals.stop)
        return ExitCode.done
    }

    /// A database that is away is waited for: what is wrong with its URL shows when it is there.
    private static func refusePooler(
        _ configuration: Configuration, until stop: AsyncEvent, _ logger: Logger
    ) async throws {
        let outages = OutageLog(logger: logger)
        while !stop.isSet {
            do {
                try await Database.refusePooler(configuration)
                return outages.succeeded("start")
            } catch let error as PostgresError {
                outages.failed("start", error)
                await stop.wait(atMost: .seconds(1))
            }
        }
    }
}
