import Configuration
import Gateway
import Output
import Store

/// `member ...`: who may talk to the bots.
enum MemberCommand {
    static let usage: TerminalText = """
        member approve CODE [--name NAME [--same-person]] [--yes] | invite NAME --workspace W [--valid 24h] [--open-id ID] | list [--limit N] [--json] \
        | remove NAME --workspace W
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(
            words, known: ["config", "name", "workspace", "valid", "open-id", "limit"],
            flags: ["yes", "same-person", "json"])
        let format = try ListFormat(arguments)
        guard !arguments.positional.isEmpty else { throw UsageError(usage) }
        let configuration = try arguments.loadConfiguration(for: .database)
        return try await Administration.run("member", arguments, configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("approve", 2): return try await MemberApproval.run(arguments, configuration, repository)
            case ("invite", 2): return try await invite(arguments, configuration.sealing, repository)
            case ("list", 1):
                output.say(try await repository.members(limit: arguments.limit()), as: format)
                return ExitCode.done
            case ("remove", 2): return try await remove(arguments, repository)
            default: throw UsageError(usage)
            }
        }
    }

    private static let output = ListOutput<MemberStatus>(
        name: "members", head: ["WORKSPACE", "MEMBER", "BOTS", "FROM", "INVITED FOR"],
        cells: { [$0.workspace, $0.name, "\($0.bots)", $0.origin, $0.invitedFor.map(DurationText.text) ?? ""] },
        object: { row in
            [
                "workspace": .string(row.workspace), "member": .string(row.name), "bots": .integer(row.bots),
                "from": row.origin.isEmpty ? .null : .string(row.origin),
                "invited_for_seconds": OrderedJSON(row.invitedFor),
            ]
        })

    /// Makes a code that somebody enters on the pairing page to become this member.
    private static func invite(
        _ arguments: Arguments, _ keys: SealingKeys, _ repository: Repository
    ) async throws -> Int32 {
        let name = arguments.positional[1]
        let workspace = try arguments.required("workspace")
        guard !name.isEmpty else { throw UsageError("a member needs a name") }
        if let openID = arguments.options["open-id"], !openID.hasPrefix("ou_") {
            throw UsageError("--open-id \(openID): expected the open_id of a Lark user for this bot, such as ou_...")
        }
        let valid = try arguments.duration("valid") ?? .seconds(86_400)
        // Where the key is out of reach (a credential of the service), the code is longer, and needs none.
        let key = keys.current
        let code = key == nil ? BindingCode() : BindingCode.short()
        guard
            try await repository.inviteMember(
                name, to: workspace, openID: arguments.options["open-id"],
                code: key.map { code.hash(with: $0) } ?? code.hash, valid: valid)
        else {
            Terminal.say("no workspace \(workspace)")
            return ExitCode.failed
        }
        Terminal.say(
            """
            \(code)
            Give it to \(name) of \(workspace), and to nobody else. They write to the bot, open the page of its answer, and
            enter it there. It is good once, for \(DurationText.text(valid)), and replaces an older one for \(name).
            """)
        return ExitCode.done
    }

    private static func remove(_ arguments: Arguments, _ repository: Repository) async throws -> Int32 {
        let name = arguments.positional[1]
        switch try await repository.removeMember(name, from: arguments.required("workspace")) {
        case (true, _): Terminal.say("removed: the next message is refused")
        case (false, true): Terminal.say("the invitation is taken back")
        case (false, false):
            Terminal.say("no member \(name)")
            return ExitCode.failed
        }
        return ExitCode.done
    }
}
