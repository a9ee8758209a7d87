import Configuration
import AsyncRuntime
import Foundation
import Gateway
import Output
import Postgres
import Worker

/// `worker`: runs a command per task; the conversation as JSON on its stdin, the reply from its stdout.
enum WorkerCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        if let first = words.first, ["--help", "-h", "help"].contains(first) {
            Terminal.say(help)
            return ExitCode.done
        }
        let arguments = try Arguments(
            words, known: ["config", "runtime", "concurrency", "timeout", "lease", "attempts", "user", "stderr"],
            repeatable: ["env"])
        try arguments.refusePositional()
        guard !arguments.command.isEmpty else { throw UsageError("the command to run stands behind --") }
        guard let concurrency = Int(arguments.options["concurrency"] ?? "1"), (1...256).contains(concurrency) else {
            throw UsageError("--concurrency takes a number from 1 to 256")
        }
        guard let attempts = Int(arguments.options["attempts"] ?? "1"), (1...10).contains(attempts) else {
            throw UsageError("--attempts takes a number from 1 to 10")
        }
        let lease = try arguments.duration("lease") ?? .seconds(60)
        guard lease <= .seconds(86_400) else {
            throw UsageError("--lease takes at most 24h: it is renewed while the command runs")
        }
        let runtime = try arguments.required("runtime")
        let file = arguments.configurationFile
        return try await FatalEvent.reporting(.worker, file) {
            let configuration = try arguments.loadConfiguration(for: .database)
            let url = try Database.url(configuration)
            let command = try commandLine(
                arguments, secrets: [url, configuration.databaseURL, configuration.poolerURL])
            let signals = StopSignals()
            let logger = LogWriter(settings: configuration.log).logger
            try await refuseWrongDatabase(configuration, until: signals.stop, logger)
            let worker = Worker(
                url: url, runtime: runtime, command: command,
                concurrency: concurrency, timeout: try arguments.duration("timeout") ?? .seconds(600),
                attempts: attempts,
                lease: lease,
                logger: logger)
            await worker.run(until: signals.stop)
            return ExitCode.done
        }
    }

    private static let help: TerminalText = """
        usage: lark-gateway worker --runtime NAME [OPTIONS] -- COMMAND ARGS

        Runs COMMAND for each task of the runtime: the conversation as JSON on its stdin, the reply from its stdout.

          --concurrency N          how many at a time, 1 to 256 (1)
          --timeout DURATION       of one run (10m)
          --attempts N             how often a run that fails is tried, 1 to 10 (1)
          --lease DURATION         of a claim, which is renewed while the command runs (60s)
          --env NAME               a variable that the command gets too; may stand several times. Otherwise it gets PATH,
                                   HOME, USER, LOGNAME, TMPDIR, LANG, LANGUAGE, LC_* and TZ of the worker's environment
          --user NAME              runs the command as this user, with its groups and its home; the worker must be root
          --stderr show|discard    what COMMAND writes to its stderr: to the worker's, 64 KiB of each run at most, each line
                                   with the task's number before it (show); or thrown away

        When COMMAND has ended, what it has started and left behind is killed.
        """

    /// - Parameter secrets: what a command must not get.
    private static func commandLine(_ arguments: Arguments, secrets: [String?]) throws -> WorkerCommandLine {
        let environment = ProcessInfo.processInfo.environment
        let names = arguments.lists["env"] ?? []
        for name in names {
            guard !name.isEmpty, !name.contains("=") else {
                throw UsageError("--env takes a variable's name alone: its value comes from the worker's environment")
            }
            guard let value = environment[name] else {
                throw UsageError("--env \(name): the worker's environment has no such variable")
            }
            guard !secrets.contains(value) else {
                throw UsageError("--env \(name): it holds the database's URL, which no command gets")
            }
        }
        let user = try arguments.options["user"].map { try otherUser($0) } ?? nil
        let stderr = arguments.options["stderr"] ?? "show"
        guard ["show", "discard"].contains(stderr) else { throw UsageError("--stderr takes show or discard") }
        return WorkerCommandLine(
            arguments.command,
            environment: WorkerCommandLine.environment(from: environment, naming: names, user: user), user: user,
            showsErrors: stderr == "show")
    }

    /// - Returns: nil where it is the worker's own user.
    private static func otherUser(_ name: String) throws -> SystemUser? {
        guard let user = SystemUser(named: name) else { throw UsageError("--user \(name): there is no such user") }
        guard !user.isUs else { return nil }
        guard geteuid() == 0 else {
            throw UsageError(
                "--user \(name): only root may run a command as another user: start the worker as root, or as \(name)")
        }
        return user
    }

    /// A database that is away is waited for: what is wrong with it shows when it is there. A right that is missing is
    /// waited for too, and is in the log.
    /// - Throws: `ConfigurationError` for a pooler, `SchemaLack.schema`.
    private static func refuseWrongDatabase(
        _ configuration: Configuration, until stop: AsyncEvent, _ logger: Logger
    ) async throws {
        let outages = OutageLog(logger: logger)
        while !stop.isSet {
            do {
                try await Database.refusePooler(configuration)
                try await Database.refuseMissingSchema(try Database.url(configuration))
                return outages.succeeded("start")
            } catch let error as PostgresError {
                outages.failed("start", error)
                await stop.wait(atMost: .seconds(1))
            }
        }
    }
}
