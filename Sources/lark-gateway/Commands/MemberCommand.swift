import Configuration
import AsyncRuntime
import Gateway
import Postgres

/// `member approve CODE`: lets the person in who was shown this code.
enum MemberCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "name"])
        guard arguments.positional.count == 2, arguments.positional[0] == "approve" else {
            throw UsageError("member approve CODE --config FILE [--name NAME]")
        }
        let configuration = try Configuration.load(path: arguments.required("config"))
        guard let code = BindingCode(arguments.positional[1]) else {
            throw UsageError(
                "\(arguments.positional[1]) is no code: it has ten letters and digits, such as 7K2QF-0MXYZ")
        }
        let pool = Pool(url: try Database.url(configuration), size: 1)
        let outcome = try await Repository(pool: pool)
            .approve(codeSHA256: code.sha256, memberName: arguments.options["name"])
        await pool.close()
        switch outcome {
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
