import Configuration
import Gateway
import Output

/// `issue ...`: what people noted with `/issue`.
enum IssueCommand {
    static let usage: TerminalText = """
        issue list [--workspace W] [--limit N] | show KEY [--workspace W]
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "workspace", "limit"])
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        let workspace = arguments.options["workspace"]
        return try await Database.withRepository(configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("list", 1):
                Terminal.say(
                    try await repository.issues(of: workspace, limit: arguments.limit()),
                    ["KEY", "WORKSPACE", "BY", "AGE", "TITLE"]
                ) { [$0.key, $0.workspace, $0.createdBy, DurationText.text($0.age), $0.title] }
            case ("show", 2):
                let key = arguments.positional[1]
                let issues = try await repository.issues(of: workspace, key: key, limit: 100).rows
                guard !issues.isEmpty else {
                    Terminal.say("no issue \(key)")
                    return ExitCode.failed
                }
                // Workspaces whose names begin alike share keys.
                for issue in issues {
                    Terminal.say("\(issue.key) \(issue.title)")
                    Terminal.say(
                        "by \(issue.createdBy) of \(issue.workspace), \(DurationText.text(issue.age)) ago"
                    )
                    if !issue.description.isEmpty {
                        Terminal.say("\n\(TerminalText(linesOf: issue.description, indent: "    "))")
                    }
                }
            default: throw UsageError(usage)
            }
            return ExitCode.done
        }
    }
}
