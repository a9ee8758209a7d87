import Configuration
import Gateway
import Output
import Store

/// `issue ...`: what people noted with `/issue`.
enum IssueCommand {
    static let usage: TerminalText = """
        issue list [--workspace W] [--limit N] [--json] | show KEY [--workspace W]
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "workspace", "limit"], flags: ["json"])
        let format = try ListFormat(arguments)
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        let workspace = arguments.options["workspace"]
        return try await Database.withRepository(configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("list", 1):
                output.say(try await repository.issues(of: workspace, limit: arguments.limit()), as: format)
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

    private static let output = ListOutput<IssueRow>(
        name: "issues", head: ["KEY", "WORKSPACE", "BY", "AGE", "TITLE"],
        cells: { [$0.key, $0.workspace, $0.createdBy, DurationText.text($0.age), $0.title] },
        object: { row in
            [
                "key": .string(row.key), "workspace": .string(row.workspace), "by": .string(row.createdBy),
                "created_at": .string(row.createdAt), "age_seconds": .duration(row.age), "title": .string(row.title),
            ]
        })
}
