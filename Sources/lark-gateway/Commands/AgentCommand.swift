import Configuration
import Gateway
import Output
import Store

/// `agent ...`: who answers. What waits for an agent is looked at anew when it changes. What these commands say counts
/// until `reset`, whatever the configuration file says.
enum AgentCommand {
    static let usage: TerminalText = """
        agent list [--limit N] [--json] | set-runtime WORKSPACE/AGENT RUNTIME | set-offline WORKSPACE/AGENT
                | set-mention-all WORKSPACE/AGENT yes|no | archive WORKSPACE/AGENT | restore WORKSPACE/AGENT
                | reset WORKSPACE/AGENT
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "limit"], flags: ["json"])
        let format = try ListFormat(arguments)
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        return try await Administration.run("agent", arguments, configuration) { repository in
            if arguments.positional == ["list"] {
                output.say(try await repository.agents(limit: arguments.limit()), as: format)
                return ExitCode.done
            }
            guard arguments.positional.count >= 2 else { throw UsageError(usage) }
            let named = arguments.positional[1].split(separator: "/", maxSplits: 1).map(String.init)
            guard named.count == 2 else { throw UsageError("\(arguments.positional[1]): expected WORKSPACE/AGENT") }
            let (workspace, agent) = (named[0], named[1])
            if arguments.positional[0] == "reset", arguments.positional.count == 2 {
                return Overrides.said(
                    try await repository.resetAgent(agent, in: workspace), of: "agent \(arguments.positional[1])")
            }
            let isKnown = try await repository.override(
                try setting(arguments.positional), ofAgent: agent, in: workspace, by: Administrator.name)
            Terminal.say(isKnown ? "done" : "no agent \(arguments.positional[1])")
            return isKnown ? ExitCode.done : ExitCode.failed
        }
    }

    private static func setting(_ words: [String]) throws -> AgentSetting {
        switch (words[0], words.count) {
        case ("set-runtime", 3):
            guard !words[2].isEmpty else { throw UsageError("a runtime needs a name; set-offline takes it away") }
            return .runtime(words[2])
        case ("set-offline", 2): return .runtime(nil)
        case ("set-mention-all", 3):
            guard ["yes", "no"].contains(words[2]) else { throw UsageError(usage) }
            return .mayMentionAll(words[2] == "yes")
        case ("archive", 2): return .isArchived(true)
        case ("restore", 2): return .isArchived(false)
        default: throw UsageError(usage)
        }
    }

    private static let output = ListOutput<AgentStatus>(
        name: "agents", head: ["WORKSPACE/AGENT", "RUNTIME", "BOTS", "FROM", "MENTIONS ALL", "OVERRIDES"],
        cells: { row in
            [
                "\(row.workspace)/\(row.name)", row.isArchived ? "archived" : row.runtime ?? "offline",
                "\(row.installations)", row.origin, row.mayMentionAll ? "yes" : "no", Overrides.cell(row.overrides),
            ]
        },
        object: { row in
            [
                "workspace": .string(row.workspace), "agent": .string(row.name), "runtime": OrderedJSON(row.runtime),
                "archived": .boolean(row.isArchived), "may_mention_all": .boolean(row.mayMentionAll),
                "from": .string(row.origin), "bots": .integer(row.installations),
                "overrides": Overrides.json(row.overrides),
            ]
        })
}
