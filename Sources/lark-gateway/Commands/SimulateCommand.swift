import AsyncRuntime
import Configuration
import Foundation
import HTTPServer
import LarkSimulator
import Output

/// `simulate`: a Lark to play with.
enum SimulateCommand {
    /// What the control interface can tell of.
    private static let remembers = 1_000

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(
            words, known: ["listen", "app", "tls-certificate", "tls-key"], flags: ["exposed"])
        try arguments.refusePositional()
        let text = try arguments.required("listen")
        guard let address = ListenAddress(text) else {
            throw UsageError("--listen \(text): expected an address and port such as 127.0.0.1:8700")
        }
        // Nobody who asks /control for something has to prove anything.
        guard address.isLoopback || arguments.flags.contains("exposed") else {
            throw UsageError(
                """
                --listen \(text): whoever reaches it reads all that is said there, and speaks as anybody; \
                use 127.0.0.1, or say --exposed
                """)
        }
        let app = (arguments.options["app"] ?? "cli_demo:demo-secret").split(separator: ":", maxSplits: 1)
        guard app.count == 2 else { throw UsageError("--app takes ID:SECRET") }
        let signals = StopSignals()
        let simulator = LarkSimulator(
            apps: [SimulatedApp(id: String(app[0]), secret: String(app[1]))], remembers: Self.remembers)
        try await simulator.start(host: address.host, port: address.port, tls: try identity(arguments))
        let url = await simulator.url
        Terminal.say(
            """
            a simulated Lark on \(url), with the app \(app[0])
              "domain": "\(url)" in an installation connects a gateway to it
              curl \(url)/control/messages -d '{"text": "hello", "chat_id": "oc_1", "sender": "ou_1"}'
              curl \(url)/control/sent            what the bot sent
              curl \(url)/control/deliveries      what was delivered and acked
              curl -X POST \(url)/control/cut     cut the connections
            """)
        Terminal.flush()
        await signals.stop.wait()
        await simulator.stop()
        return ExitCode.done
    }

    private static func identity(_ arguments: Arguments) throws -> TLSIdentity? {
        guard let certificate = arguments.options["tls-certificate"], let key = arguments.options["tls-key"] else {
            guard arguments.options["tls-certificate"] == nil, arguments.options["tls-key"] == nil else {
                throw UsageError("--tls-certificate and --tls-key go together")
            }
            return nil
        }
        guard let certificates = try? String(contentsOfFile: certificate, encoding: .utf8),
            let key = try? String(contentsOfFile: key, encoding: .utf8)
        else { throw UsageError("--tls-certificate or --tls-key can't be read") }
        return TLSIdentity(certificates: certificates, key: key)
    }
}
