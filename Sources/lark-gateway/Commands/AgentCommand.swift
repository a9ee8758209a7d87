import Configuration
import Gateway
import Output
import Store

/// `agent ...`: who answers. What waits for an agent is looked at anew when it changes.
enum AgentCommand {
    static let usage: TerminalText = """
        agent list [--limit N] | set-runtime WORKSPACE/AGENT RUNTIME | set-offline WORKSPACE/AGENT
                | set-mention-all WORKSPACE/AGENT yes|no | archive WORKSPACE/AGENT | restore WORKSPACE/AGENT
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "limit"])
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        return try await Database.withRepository(configuration) { repository in
            if arguments.positional == ["list"] { return try await list(arguments, repository) }
            guard arguments.positional.count >= 2 else { throw UsageError(usage) }
            let named = arguments.positional[1].split(separator: "/", maxSplits: 1).map(String.init)
            guard named.count == 2 else { throw UsageError("\(arguments.positional[1]): expected WORKSPACE/AGENT") }
            let isKnown: Bool
            switch (arguments.positional[0], arguments.positional.count) {
            case ("set-runtime", 3):
                isKnown = try await repository.setRuntime(arguments.positional[2], ofAgent: named[1], in: named[0])
            case ("set-offline", 2):
                isKnown = try await repository.setRuntime(nil, ofAgent: named[1], in: named[0])
            case ("set-mention-all", 3):
                guard ["yes", "no"].contains(arguments.positional[2]) else { throw UsageError(usage) }
                isKnown = try await repository.setMentions(
                    ofAgent: named[1], in: named[0], mayMentionAll: arguments.positional[2] == "yes")
            case ("archive", 2):
                isKnown = try await repository.archiveAgent(named[1], in: named[0], isArchived: true)
            case ("restore", 2):
                isKnown = try await repository.archiveAgent(named[1], in: named[0], isArchived: false)
            default: throw UsageError(usage)
            }
            Terminal.say(isKnown ? "done" : "no agent \(arguments.positional[1])")
            return isKnown ? ExitCode.done : ExitCode.failed
        }
    }

    private static func list(_ arguments: Arguments, _ repository: Repository) async throws -> Int32 {
        Terminal.say(
            try await repository.agents(limit: arguments.limit()),
            ["WORKSPACE/AGENT", "RUNTIME", "BOTS", "FROM", "MENTIONS ALL"]
        ) { row in
            [
                "\(row.workspace)/\(row.name)", row.isArchived ? "archived" : row.runtime ?? "offline",
                "\(row.installations)", row.origin, row.mayMentionAll ? "yes" : "no",
            ]
        }
        return ExitCode.done
    }
}
