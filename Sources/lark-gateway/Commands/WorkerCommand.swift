import Configuration
import AsyncRuntime
import Foundation
import Gateway
import Postgres

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
        let worker = Worker(
            url: try Database.url(configuration), runtime: runtime, command: arguments.command,
            concurrency: concurrency, timeout: try arguments.duration("timeout") ?? .seconds(600), attempts: attempts,
            lease: try arguments.duration("lease") ?? .seconds(60),
            logger: LogWriter(settings: configuration.log).logger)
        await worker.run(until: signals.stop)
        return ExitCode.done
    }
}
