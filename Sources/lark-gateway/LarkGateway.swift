import AsyncRuntime
import Configuration
import Foundation
import Output

/// The executable: picks the command and turns its errors into one line and an exit code.
@main
struct LarkGateway {
    static let version = "0.1.0"

    static let usage: TerminalText = """
        usage: lark-gateway COMMAND [OPTIONS]

          run                            the daemon
          check                          validate the file, the database, the credentials; change nothing
          config print                   the configuration in effect, with defaults and without secrets
          config schema|keys             the JSON Schema of the file; its keys as a table
          migrate                        bring the schema up to date (run does it too)
          migrate --grant --admin-url SOURCE
                                         make the database, its roles and their rights
          status [--json]                installations, windows, queue and outbox, from the database; 1 where something
                                         needs a person
          installation list|add|set-secret|revoke|restore|reset|reseal
                                         bots; a running gateway hears of it at once
          agent list|set-runtime|set-offline|set-mention-all|archive|restore|reset
                                         who answers
          member approve CODE [--name NAME] [--yes]
                                         say who was shown this code, ask, and let them in
          member invite NAME --workspace W [--valid 24h] [--open-id ID]
                                         make a code for the pairing page
          member list|remove             who may talk to the bots
          outbox list|retry|drop         what was not sent
          issue list|show KEY            what people noted with /issue
          worker --runtime NAME [--concurrency N] [--timeout 10m] [--attempts N] [--env NAME] [--user NAME]
                 -- COMMAND ARGS         run COMMAND per task: conversation on stdin, reply from stdout; worker --help
                                         says more
          worker-role list|add|remove    database roles that may work, and do nothing else
          simulate --listen 127.0.0.1:PORT [--app ID:SECRET] [--exposed]
                                         a simulated Lark to play with
          demo                           the whole way of a burst, on a private Postgres and a simulated Lark
          version                        print the version

        The configuration is the file of --config FILE, else of LARK_GATEWAY_CONFIG, else
        /etc/lark-gateway/config.json.
        """

    static func main() async {
        HiddenProcess.begin()
        exit(await run(Array(CommandLine.arguments.dropFirst())))
    }

    static func run(_ words: [String]) async -> Int32 {
        guard let command = words.first else {
            Terminal.complain(usage)
            return ExitCode.usage
        }
        let rest = Array(words.dropFirst())
        do {
            switch command {
            case "run": return try await RunCommand.run(rest)
            case "config": return try await ConfigCommand.run(rest)
            case "check": return try await CheckCommand.run(rest)
            case "migrate": return try await MigrateCommand.run(rest)
            case "status": return try await StatusCommand.run(rest)
            case "installation": return try await InstallationCommand.run(rest)
            case "agent": return try await AgentCommand.run(rest)
            case "member": return try await MemberCommand.run(rest)
            case "outbox": return try await OutboxCommand.run(rest)
            case "issue": return try await IssueCommand.run(rest)
            case "worker": return try await WorkerCommand.run(rest)
            case "worker-role": return try await WorkerRoleCommand.run(rest)
            case "simulate": return try await SimulateCommand.run(rest)
            case "demo": return try await DemoCommand.run(rest)
            case "version", "--version":
                Terminal.say("lark-gateway \(version)")
                return ExitCode.done
            case "help", "--help", "-h":
                Terminal.say(usage)
                return ExitCode.done
            default:
                throw UsageError("unknown command \(command); lark-gateway help lists them")
            }
        } catch let error as UsageError {
            Terminal.complain("lark-gateway: \(error.text)")
            return ExitCode.usage
        } catch let error as ConfigurationError {
            for mistake in error.mistakes { Terminal.complain("lark-gateway: configuration: \(mistake)") }
            if error.rest > 0 { Terminal.complain("lark-gateway: configuration: and \(error.rest) more mistakes") }
            if let whence = ConfigurationFile(words: rest).whence { Terminal.complain("lark-gateway: \(whence)") }
            if error.mistakes.contains(where: \.isOutOfReach), geteuid() != 0 {
                Terminal.complain("lark-gateway: type it as root: \(ConfigurationFile.asRoot(words))")
            }
            return ExitCode.configuration
        } catch {
            let fatal = FatalError(error, ConfigurationFile(words: rest), words)
            Terminal.complain("lark-gateway: \(fatal.problem)")
            if let hint = fatal.hint { Terminal.complain("lark-gateway: \(hint)") }
            return fatal.code
        }
    }
}
