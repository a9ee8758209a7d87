import AsyncRuntime
import Foundation
import Gateway
import Lark
import LarkSimulator
import Output
import Postgres
import Store
import Worker

/// The whole way of a burst on real parts: a private Postgres in a temporary folder, a simulated Lark on loopback, the
/// gateway between them, and a worker that answers with what it was given. Tells each step as it happens and checks it.
enum Demo {
    private static let app = SimulatedApp(id: "cli_demo", secret: "demo-secret")
    /// Each message's text on a line, as the agent saw it.
    private static let agent = #"grep -o '"content": *"[^"]*"' | sed 's/^"content": *"/I read: /; s/"$//'"#

    /// - Returns: whether every fact was as it should be.
    static func run() async throws -> Bool {
        guard geteuid() != 0 else { throw PrivatePostgres.Failure.runsAsRoot }
        let folder = try DemoFolder.make()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let signals = StopSignals()
        Terminal.say("lark-gateway demo: a burst of two messages becomes one run and one reply\n")
        let server = PrivatePostgres(directory: folder, settings: ["shared_buffers": "16MB"])
        try await server.start(deadline: .after(.seconds(60)))
        Terminal.say("a private Postgres runs in \(folder)")
        let simulator = LarkSimulator(apps: [app])
        let result: Result<Bool, any Error>
        do {
            try await simulator.start()
            let url = await simulator.url
            Terminal.say("a simulated Lark listens on \(url)")
            let telling = Task { try await tell(on: server.url, simulator, domain: url) }
            let interrupt = Task {
                await signals.stop.wait()
                if signals.stop.isSet { telling.cancel() }
            }
            result = await telling.result
            interrupt.cancel()
        } catch {
            result = .failure(error)
        }
        await simulator.stop()
        try await server.stop(deadline: .after(.seconds(30)))
        return try result.get()
    }

    private static func tell(on url: String, _ simulator: LarkSimulator, domain: String) async throws -> Bool {
        guard let domain = URL(string: domain) else { return false }
        let narrator = DemoNarrator()
        let settings = GatewaySettings(
            databaseURL: url, agents: [AgentSettings(workspace: "acme", name: "echo", runtime: "demo")],
            installations: [
                InstallationSettings(
                    appID: app.id, appSecret: app.secret, domain: domain, workspace: "acme", agent: "echo",
                    access: .open, locale: .en)
            ])
        let gateway = Gateway(settings, logger: narrator.logger)
        try await gateway.prepare()
        let stop = AsyncEvent()
        let running = Task { await gateway.run(until: stop) }
        let environment = WorkerCommandLine.environment(
            from: ProcessInfo.processInfo.environment, naming: [], user: nil)
        let worker = Worker(
            url: url, runtime: "demo",
            command: WorkerCommandLine(["/bin/sh", "-c", agent], environment: environment), concurrency: 1,
            timeout: .seconds(20), attempts: 1, lease: .seconds(60), logger: narrator.logger)
        let working = Task { await worker.run(until: stop) }
        let facts = Facts()
        do {
            try await perform(simulator, narrator, facts, Pool(url: url, size: 1))
        } catch {
            facts.check("the story came to its end (\(error))", false)
        }
        stop.set()
        await working.value
        facts.check("the gateway stopped in order", await running.value)
        facts.summarise()
        if facts.allTrue { Terminal.say(next) }
        return facts.allTrue
    }

    private static func perform(
        _ simulator: LarkSimulator, _ narrator: DemoNarrator, _ facts: Facts, _ pool: Pool
    ) async throws {
        guard await simulator.wait(until: .after(.seconds(20)), for: { $0.connectionCount == 1 }) else {
            throw DemoError("no long connection within 20 s")
        }
        Terminal.say("the gateway holds the long connection of \(app.id)\n")
        let transcript = SimulatedMessage(
            chatID: "oc_demo", sender: "ou_you", text: "transcript: the meeting is on Friday")
        let note = SimulatedMessage(chatID: "oc_demo", sender: "ou_you", text: "please put that into my calendar")
        narrator.begin()
        narrator.say("arrived", "a forwarded transcript")
        await simulator.send(transcript, to: app.id)
        facts.check("the transcript was acked 200, by itself", await acked(simulator, narrator, transcript))
        try await Task.sleep(until: narrator.start + .seconds(1), clock: .continuous)
        narrator.say("arrived", "a note to it")
        await simulator.send(note, to: app.id)
        facts.check("the note was acked 200, by itself", await acked(simulator, narrator, note))

        _ = await simulator.wait(until: .after(.seconds(20))) { !$0.sentMessages.isEmpty }
        let sent = await simulator.sentMessages
        narrator.say("replied", "in the chat: \(text(of: sent.first))")
        facts.check("one agent run was queued for both", try await count(pool, "agent_task") == 1)
        facts.check(
            "it was queued 3 s after the note, not after the transcript",
            try await holds(
                pool,
                """
                SELECT t.created_at - m.created_at BETWEEN '3 seconds' AND '10 seconds' AS holds
                FROM gateway.agent_task t, gateway.chat_message m WHERE m.position = 2
                """))
        facts.check(
            "the agent got both messages, in order",
            text(of: sent.first)
                == "I read: transcript: the meeting is on Friday\nI read: please put that into my calendar")

        narrator.say("arrived", "both once more, as Lark does at times")
        await simulator.repeatDelivery(of: transcript.messageID)
        await simulator.repeatDelivery(of: note.messageID)
        let again = await simulator.wait(until: .after(.seconds(10))) { simulator in
            simulator.deliveryStates.count == 4 && simulator.deliveryStates.allSatisfy { $0.acks == [200] }
        }
        facts.check("the replays were acked 200", again)
        facts.check("and stored nothing: two messages and the reply", try await count(pool, "chat_message") == 3)
        facts.check("no window is open", try await count(pool, "pending_run") == 0)
        facts.check("the chat has one reply", await simulator.sentMessages.count == 1)
        await pool.close()
    }

    private static func acked(
        _ simulator: LarkSimulator, _ narrator: DemoNarrator, _ message: SimulatedMessage
    ) async -> Bool {
        let isAcked = await simulator.wait(until: .after(.seconds(10))) { simulator in
            simulator.states(of: message.messageID).first?.acks == [200]
        }
        if isAcked { narrator.say("acked", "200, Lark will not send it again") }
        return isAcked
    }

    private static func text(of message: SentMessage?) -> String {
        message.flatMap { JSONValue(parsing: $0.content) }?["text"].string ?? "nothing"
    }

    private static func count(_ pool: Pool, _ table: String) async throws -> Int {
        let statement = Statement(name: "count", sql: "SELECT count(*) AS n FROM gateway.\(table)", isPrepared: false)
        return try await pool.query(statement, deadline: .after(.seconds(5))).first?.value("n") ?? -1
    }

    private static func holds(_ pool: Pool, _ sql: String) async throws -> Bool {
        let statement = Statement(name: "holds", sql: sql, isPrepared: false)
        return try await pool.query(statement, deadline: .after(.seconds(5))).first?.value("holds") ?? false
    }

    private static let next: TerminalText = """

        What to do next: copy config.example.json, put your Lark app's id and secret into it (README, "Five minutes to
        the first reply"), and start   lark-gateway run --config FILE
        """
}

struct DemoError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
