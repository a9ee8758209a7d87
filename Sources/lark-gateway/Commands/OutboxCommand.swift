import Configuration
import Foundation
import Gateway
import Output
import Store

/// `outbox ...`: what was not sent, and what becomes of it. Never what it says.
enum OutboxCommand {
    static let usage: TerminalText = """
        outbox list [--app APP_ID] [--limit N] [--json] | retry ID | retry dead [--app APP_ID] | drop ID
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "app", "limit"], flags: ["json"])
        let format = try ListFormat(arguments)
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        return try await Administration.run("outbox", arguments, configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("list", 1): return try await list(arguments, repository, as: format)
            case ("retry", 2):
                let isAll = arguments.positional[1] == "dead"
                let count = try await repository.retryOutbox(
                    isAll ? nil : id(arguments), of: arguments.options["app"])
                if count == 0 {
                    Terminal.say(
                        isAll ? "nothing was given up" : "no row \(arguments.positional[1]) that waits or was given up")
                }
                if count > 0 { Terminal.say("\(count) to be sent again, now") }
                return count > 0 || isAll ? ExitCode.done : ExitCode.failed
            case ("drop", 2):
                let isDropped = try await repository.dropOutbox(id(arguments))
                Terminal.say(
                    isDropped
                        ? "given up: what waits behind it goes on" : "no row \(arguments.positional[1]) that waits")
                return isDropped ? ExitCode.done : ExitCode.failed
            default: throw UsageError(usage)
            }
        }
    }

    private static func id(_ arguments: Arguments) throws -> UUID {
        guard let id = UUID(uuidString: arguments.positional[1]) else {
            throw UsageError("\(arguments.positional[1]): expected an id as `outbox list` prints it")
        }
        return id
    }

    private static func list(
        _ arguments: Arguments, _ repository: Repository, as format: ListFormat
    ) async throws -> Int32 {
        let limit = try arguments.limit()
        let app = arguments.options["app"]
        let waiting = try await repository.outbox(isDead: false, of: app, limit: limit)
        let dead = try await repository.outbox(isDead: true, of: app, limit: limit)
        switch format {
        case .table:
            Terminal.sayTable(
                ["ID", "APP", "KIND", "TO", "AGE", "ATTEMPTS", "STATE", "LAST ERROR"],
                (waiting.rows + dead.rows).map(cells))
            if waiting.rest + dead.rest > 0 {
                Terminal.say("and \(waiting.rest) more that wait, \(dead.rest) more that are dead: see --limit")
            }
        case .json:
            Terminal.sayJSON([
                "waiting": .array(waiting.rows.map(object)), "waiting_rest": .integer(waiting.rest),
                "dead": .array(dead.rows.map(object)), "dead_rest": .integer(dead.rest),
            ])
        }
        return ExitCode.done
    }

    private static func cells(_ row: OutboxEntry) -> [String] {
        let wait = max(0, Int(row.nextIn.seconds.rounded(.up)))
        return [
            row.id.uuidString.lowercased(), row.appID, row.kind, row.receiver, "\(Int(row.age.seconds))s",
            "\(row.attempts)", row.isDead ? "dead" : wait == 0 ? "due" : "in \(wait)s", row.lastError ?? "",
        ]
    }

    private static func object(_ row: OutboxEntry) -> OrderedJSON {
        [
            "id": .string(row.id.uuidString.lowercased()), "app_id": .string(row.appID), "kind": .string(row.kind),
            "to": .string(row.receiver), "created_at": .string(row.createdAt), "age_seconds": .duration(row.age),
            "attempts": .integer(row.attempts),
            "next_in_seconds": row.isDead ? .null : .duration(max(.zero, row.nextIn)),
            "last_error": OrderedJSON(row.lastError),
        ]
    }
}
