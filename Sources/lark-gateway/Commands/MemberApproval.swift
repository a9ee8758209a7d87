import AsyncRuntime
import Configuration
import Curl
import Foundation
import Gateway
import Lark
import Output
import Store

/// `member approve CODE`: says who was shown this code, and lets them in once the administrator agrees.
enum MemberApproval {
    /// For the platform to tell a name: token and call.
    private static let patience: Duration = .seconds(5)

    static func run(
        _ arguments: Arguments, _ configuration: Configuration, _ repository: Repository
    ) async throws -> Int32 {
        let typed = arguments.positional[1]
        guard let code = BindingCode(typed) else {
            throw UsageError("\(typed) is no code: it has 16 letters and digits, such as 7K2Q-F0MX-YZ23-45AB")
        }
        guard let (hash, applicant) = try await applicant(code, repository) else { return say(.unknown) }
        if let outcome = applicant.outcome { return say(outcome) }
        let name = arguments.options["name"].flatMap { $0.isEmpty ? nil : $0 }
        Terminal.say(
            """
            \(await person(applicant, configuration))
              wrote to the bot \(applicant.appID) (agent \(applicant.agent) of \(applicant.workspace))\(place(applicant))
              and becomes the member \(name ?? applicant.openID) of \(applicant.workspace)
            """)
        guard try isAgreed(arguments) else {
            Terminal.say("nothing changed")
            return ExitCode.failed
        }
        let outcome = try await repository.approve(
            code: hash, memberName: name, isSamePerson: arguments.flags.contains("same-person"))
        if case .bound(let openID, let member, let workspace) = outcome {
            await Administration.log("member approve", of: "\(openID) as \(workspace)/\(member)", repository)
        }
        return say(outcome)
    }

    private static func applicant(
        _ code: BindingCode, _ repository: Repository
    ) async throws -> (hash: SecretHash, Applicant)? {
        for hash in code.approvalHashes {
            if let applicant = try await repository.applicant(code: hash) { return (hash, applicant) }
        }
        return nil
    }

    /// - Throws: `UsageError` where nobody can be asked.
    private static func isAgreed(_ arguments: Arguments) throws -> Bool {
        if arguments.flags.contains("yes") { return true }
        guard isatty(STDIN_FILENO) == 1 else {
            throw UsageError("standard input is no terminal, so nobody can agree: see who it is, then add --yes")
        }
        Terminal.ask("Let this person in? [y/N]")
        return ["y", "yes"].contains(readLine()?.trimmingCharacters(in: .whitespaces).lowercased())
    }

    private static func place(_ applicant: Applicant) -> TerminalText {
        applicant.chatID.map { ", last in the chat \($0)" } ?? ""
    }

    /// Who it is, as far as the platform tells.
    private static func person(_ applicant: Applicant, _ configuration: Configuration) async -> TerminalText {
        let unknown: TerminalText = "\(applicant.openID), whose name and tenant are not known"
        guard let app = credentials(applicant, configuration) else {
            return "\(unknown) (the bot's secret can't be read here)"
        }
        let api = OpenAPIClient(
            domain: app.domain, appID: applicant.appID, appSecret: app.secret,
            http: HTTPExchange(settings: configuration.network))
        do {
            let name = try await withDeadline(.after(patience), operation: "the person's name") {
                try await api.name(ofPerson: applicant.openID)
            }
            guard let name else {
                return "\(unknown) (the app lacks the permission contact:user.base:readonly)"
            }
            // The platform tells the names of an app's own tenant alone.
            return "\(name) (\(applicant.openID)), of the tenant that the app belongs to"
        } catch {
            return "\(unknown) (\(error))"
        }
    }

    /// - Returns: nil: not here, as where the secret is a credential of the service.
    private static func credentials(
        _ applicant: Applicant, _ configuration: Configuration
    ) -> (secret: String, domain: URL)? {
        // A sealed secret counts: of an app of the file a command has given it.
        if applicant.sealedSecret == nil,
            let known = configuration.installations.first(where: { $0.appID == applicant.appID })
        {
            return known.appSecret.isEmpty ? nil : (known.appSecret, known.domain)
        }
        guard let sealed = applicant.sealedSecret, let key = applicant.sealedKeyID.flatMap(configuration.sealing.key),
            let secret = try? key.open(sealed, for: applicant.appID, at: applicant.domain),
            let domain = URL(string: applicant.domain)
        else { return nil }
        return (secret, domain)
    }

    private static func say(_ outcome: ApprovalOutcome) -> Int32 {
        switch outcome {
        case .bound(let openID, let member, let workspace):
            Terminal.say("\(openID) is now member \(member) of \(workspace): their next message is answered")
            return ExitCode.done
        case .alreadyBound(let openID):
            Terminal.say("\(openID) was a member already: nothing changed")
        case .memberTaken(let member):
            Terminal.say(
                """
                the member \(member) is somebody with another account already: nothing changed, and the code is still good
                take another --name; where both accounts are one person's, add --same-person
                """)
        case .unknown: Terminal.say("no such code: check it with the person, or have them write to the bot again")
        case .used: Terminal.say("this code was used already: have the person write to the bot again")
        case .expired: Terminal.say("this code is over 15 minutes old: have the person write to the bot again")
        case .revoked:
            Terminal.say("the bot of this code is revoked: restore it first, then have the person write to it again")
        }
        return ExitCode.failed
    }
}

extension Applicant {
    /// How an approval ends before anybody is asked; nil: it is for the administrator to decide.
    fileprivate var outcome: ApprovalOutcome? {
        switch state {
        // A link that is blocked says nothing of the code.
        case .open, .blocked: member.map { _ in .alreadyBound(openID: openID) }
        case .used: .used
        case .expired: .expired
        case .revoked: .revoked
        }
    }
}
