import Configuration
import Store

/// Commands that change what a running gateway works with.
enum Administration {
    private static let looking = ["list", "show"]

    /// Runs a command, and where it changed something, leaves a line for the log of running gateways.
    /// - Parameter command: such as `agent`.
    static func run(
        _ command: String, _ arguments: Arguments, _ configuration: Configuration,
        _ body: (Repository) async throws -> Int32
    ) async throws -> Int32 {
        try await Database.withRepository(configuration) { repository in
            let code = try await body(repository)
            // What stands behind `approve` is a code: who was let in is told instead.
            if code == ExitCode.done, let verb = arguments.positional.first, !looking.contains(verb), verb != "approve"
            {
                await log("\(command) \(verb)", of: arguments.positional.dropFirst().joined(separator: " "), repository)
            }
            return code
        }
    }

    /// What was done is done: that it can't be told is no failure.
    static func log(_ command: String, of subject: String, _ repository: Repository) async {
        try? await repository.logCommand(command, of: subject, by: Administrator.name)
    }
}
