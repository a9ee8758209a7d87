import Curl
import AsyncRuntime
import Foundation
import Gateway
import HTTPServer
import Lark
import LarkSimulator
import Postgres
import TestSupport

/// A simulated Lark and a database for one test, and the configuration of a daemon between them.
struct Stage: Sendable {
    static let app = SimulatedApp(id: "cli_test", secret: "test-secret")

    let simulator: LarkSimulator
    let apps: [SimulatedApp]
    let url: String
    let pool: Pool
    let larkURL: String

    /// - Parameter tls: Lark speaks https and wss, as localhost.
    init(
        url: String? = nil, apps: [SimulatedApp] = [Stage.app], timing: LarkSimulator.Timing = Stage.quick,
        tls: TLSIdentity? = nil
    ) async throws {
        self.apps = apps
        simulator = LarkSimulator(apps: apps, timing: timing)
        try await simulator.start(tls: tls, name: tls == nil ? nil : "localhost")
        larkURL = await simulator.url
        let database = if let url { url } else { try await TestPostgres.makeDatabase() }
        self.url = database
        pool = Pool(url: database, size: 2, applicationName: "tests")
    }

    static var quick: LarkSimulator.Timing {
        var timing = LarkSimulator.Timing()
        timing.retryDelay = .milliseconds(200)
        return timing
    }

    func configuration(
        access: String = "open", runtime: String? = "default", window: String = "300ms", maxWait: String = "2s",
        secret: String? = nil, database: Bool = true, extra: String = ""
    ) -> String {
        let installations = apps.map { app in
            """
            {"app_id": "\(app.id)", "app_secret": "\(secret ?? app.secret)", "domain": "\(larkURL)",
             "workspace": "acme", "agent": "support", "access": "\(access)"}
            """
        }
        return """
            {\(database ? "\"database_url\": \"\(url)\"," : "")
             "agents": [{"workspace": "acme", "name": "support", "runtime": \(runtime.map { "\"\($0)\"" } ?? "null")}],
             "installations": [\(installations.joined(separator: ","))],
             "batching": {"silence_window": "\(window)", "max_wait": "\(maxWait)"},
             "log": {"level": "debug"}, "metrics": {"listen": "127.0.0.1:0"}\(extra)}
            """
    }

    /// Starts the daemon and waits for its connection.
    func start(
        _ configuration: String, user: String? = nil, executable: String = Daemon.executable
    ) async throws -> Daemon {
        let daemon = try Daemon.run(configuration, user: user, executable: executable)
        guard try await daemon.logs("connection.opened") else {
            throw StageError(description: "no connection; the daemon says: \(daemon.output.suffix(4000))")
        }
        _ = await simulator.wait(until: .after(.seconds(10))) { $0.connectionCount > 0 }
        return daemon
    }

    /// A worker whose command answers with how many messages it got and what they say.
    func startWorker(_ command: String = Stage.echo) async throws -> Daemon {
        try await startWorker(command: ["/bin/sh", "-c", command])
    }

    func startWorker(
        command: [String], options: [String] = [], executable: String = Daemon.executable
    ) async throws -> Daemon {
        let worker = try Daemon(
            ["worker", "--config", try Daemon.file(configuration()), "--runtime", "default"] + options + ["--"]
                + command, executable: executable)
        guard try await worker.logs("worker.started") else {
            throw StageError(description: "no worker: \(worker.output)")
        }
        return worker
    }

    /// Puts the contents of the messages in order, one per line.
    static let echo = #"grep -o '"content": *"[^"]*"' | sed 's/.*: *"//; s/"$//'"#

    @discardableResult
    func say(
        _ text: String, in chat: String = "oc_1", from sender: String = "ou_1", type: String = "p2p",
        mention: Bool = false,
        thread: String? = nil
    ) async -> String {
        let message = SimulatedMessage(
            chatID: chat, chatType: type, sender: sender, text: text, threadID: thread, mentionsBot: mention)
        await simulator.send(message, to: Self.app.id)
        return message.messageID
    }

    /// Waits for the codes of the acks of every delivery of a message.
    func acked(_ messageID: String, _ codes: [Int], within limit: Duration = .seconds(30)) async -> Bool {
        await simulator.wait(until: .after(limit)) { simulator in
            simulator.states(of: messageID).flatMap(\.acks) == codes
        }
    }

    /// Waits until the bot has sent that many messages, and returns them.
    func sent(_ count: Int, within limit: Duration = .seconds(30)) async -> [SentMessage] {
        _ = await simulator.wait(until: .after(limit)) { $0.sentMessages.count >= count }
        return await simulator.sentMessages
    }

    func metrics(of daemon: Daemon) async throws -> String {
        let port = daemon.events("metrics.listening").first?["port"].integer ?? 0
        guard let url = URL(string: "http://127.0.0.1:\(port)/metrics") else { return "" }
        return String(decoding: try await HTTPExchange().send("GET", url).body, as: UTF8.self)
    }

    func rows(_ sql: String) async throws -> [String] { try await pool.rows(sql) }

    func end(_ daemons: Daemon...) async {
        for daemon in daemons { await daemon.killNow() }
        await simulator.stop()
        await pool.close()
    }
}

struct StageError: Error, CustomStringConvertible {
    let description: String
}
