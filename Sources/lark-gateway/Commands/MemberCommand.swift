import Configuration
import Gateway

/// `member ...`: who may talk to the bots.
enum MemberCommand {
    static let usage = """
        member approve CODE [--name NAME] | list | remove NAME --workspace W, each with --config FILE
        """

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "name", "workspace"])
        let configuration = try Configuration.load(path: arguments.required("config"), for: .database)
        return try await Database.withRepository(configuration) { repository in
            switch (arguments.positional.first, arguments.positional.count) {
            case ("approve", 2): return try await approve(arguments, repository)
            case ("list", 1):
                Table.print(
                    ["WORKSPACE", "MEMBER", "BOTS", "FROM"],
                    try await repository.members().map { [$0.workspace, $0.name, "\($0.bots)", $0.origin] })
                return ExitCode.done
            case ("remove", 2):
                let name = arguments.positional[1]
                let isKnown = try await repository.removeMember(name, from: arguments.required("workspace"))
                print(isKnown ? "removed: the next message is refused" : "no member \(name)")
                return isKnown ? ExitCode.done : ExitCode.failed
            default: throw UsageError(usage)
            }
        }
    }

    /// Lets the person in who was shown this code.
    private static func approve(_ arguments: Arguments, _ repository: Repository) async throws -> Int32 {
        guard let code = BindingCode(arguments.positional[1]) else {
            throw UsageError(
                "\(arguments.positional[1]) is no code: it has ten letters and digits, such as 7K2QF-0MXYZ")
        }
        switch try await repository.approve(codeSHA256: code.sha256, memberName: arguments.options["name"]) {
        case .bound(let openID, let member, let workspace):
            print("\(openID) is now member \(member) of \(workspace): their next message is answered")
            return ExitCode.done
        case .alreadyBound(let openID):
            print("\(openID) was a member already: nothing changed")
        case .unknown: print("no such code: check it with the person, or have them write to the bot again")
        case .used: print("this code was used already: have the person write to the bot again")
        case .expired: print("this code is over 15 minutes old: have the person write to the bot again")
        }
        return ExitCode.failed
    }
}
