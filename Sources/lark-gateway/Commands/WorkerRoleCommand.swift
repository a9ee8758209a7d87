import Configuration
import Gateway
import Output
import Postgres
import Store

/// `worker-role ...`: which database roles may work for which runtimes.
enum WorkerRoleCommand {
    static let usage: TerminalText = """
        worker-role list [--json] | add ROLE --runtime NAME | remove ROLE [--runtime NAME]
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "runtime"], flags: ["json"])
        let format = try ListFormat(arguments)
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        return try await Administration.run("worker-role", arguments, configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("list", 1):
                output.say(Listed(all: try await repository.workerRoles()), as: format)
                return ExitCode.done
            case ("add", 2): return try await add(arguments.positional[1], arguments.required("runtime"), repository)
            case ("remove", 2):
                return try await remove(arguments.positional[1], arguments.options["runtime"], repository)
            default: throw UsageError(usage)
            }
        }
    }

    private static let output = ListOutput<WorkerRole>(
        name: "worker_roles", head: ["ROLE", "RUNTIME", ""],
        cells: { [$0.name, $0.runtime, $0.isThere ? "" : "was dropped"] },
        object: { row in
            ["role": .string(row.name), "runtime": .string(row.runtime), "dropped": .boolean(!row.isThere)]
        })

    private static func add(_ role: String, _ runtime: String, _ repository: Repository) async throws -> Int32 {
        guard !runtime.isEmpty else { throw UsageError("a runtime needs a name") }
        do {
            try await repository.addWorkerRole(role, runtime: runtime)
            Terminal.say("\(role) may claim tasks of runtime \(runtime) and answer them, and nothing else")
            return ExitCode.done
        } catch PostgresError.statement(let error) where ["42704", "22023"].contains(error.sqlState) {
            Terminal.say(
                error.sqlState == "42704"
                    ? "there is no database role \(role): make it first, with CREATE ROLE \"\(role)\" LOGIN PASSWORD '...'"
                    : "\(role) owns the schema, or has the rights of its owner: make a role for workers alone")
            return ExitCode.failed
        }
    }

    private static func remove(_ role: String, _ runtime: String?, _ repository: Repository) async throws -> Int32 {
        let count = try await repository.removeWorkerRole(role, runtime: runtime)
        guard count > 0 else {
            Terminal.say(runtime.map { "\(role) is no worker role of runtime \($0)" } ?? "\(role) is no worker role")
            return ExitCode.failed
        }
        Terminal.say("done: \(count)")
        return ExitCode.done
    }
}
