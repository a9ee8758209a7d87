import AsyncRuntime
import LarkSimulator
import TestSupport
import Testing

/// A platform that takes requests and never answers them, beside one that does.
@Suite("A platform that is silent, through the real daemon")
struct SilentPlatformTests {
    /// Bots on two platforms, in one gateway.
    private struct TwoPlatforms: Sendable {
        let silent: Stage
        let good: Stage

        init(silentBots: Int = 1) async throws {
            good = try await Stage()
            let apps = (0..<silentBots).map { SimulatedApp(id: "cli_a_silent_\($0)", secret: "silent-secret") }
            silent = try await Stage(url: good.url, apps: apps)
        }

        var configuration: String {
            let installations = [silent, good].flatMap { stage in
                stage.apps.map { app in
                    """
                    {"app_id": "\(app.id)", "app_secret": "\(app.secret)", "domain": "\(stage.larkURL)",
                     "workspace": "acme", "agent": "support", "access": "open"}
                    """
                }
            }
            return """
                {"database_url": "\(good.url)",
                 "agents": [{"workspace": "acme", "name": "support", "runtime": "default"}],
                 "installations": [\(installations.joined(separator: ","))],
                 "batching": {"silence_window": "300ms", "max_wait": "2s"},
                 "log": {"level": "debug"}, "metrics": {"listen": "127.0.0.1:0"}}
                """
        }

        func end(_ daemons: Daemon...) async {
            for daemon in daemons { await daemon.killNow() }
            await silent.simulator.stop()
            await good.end()
        }
    }

    /// The names of the daemon's log events, in order.
    private func names(_ daemon: Daemon, _ wanted: Set<String>) -> [String] {
        daemon.output.split(separator: "\n").compactMap { line in
            wanted.first { line.contains("\"event\":\"\($0)\"") }
        }
    }

    @Test("60 replies that a silent platform does not take keep no reply of another bot, and go out when it answers")
    func replies() async throws {
        let both = try await TwoPlatforms()
        let daemon = try await both.silent.start(both.configuration)
        #expect(try await daemon.logs("connection.opened", count: 2))
        await both.silent.simulator.hang([.message])
        for chat in 0..<60 {
            let message = SimulatedMessage(chatID: "oc_\(chat)", sender: "ou_1", text: "/help")
            await both.silent.simulator.send(message, to: both.silent.apps[0].id)
        }
        #expect(await both.silent.simulator.wait(until: .after(.seconds(30))) { $0.hungCalls[.message] ?? 0 >= 16 })
        await both.good.say("/help")
        #expect(await both.good.sent(1, within: .seconds(60)).count == 1)
        #expect(try await daemon.logs("outbox.sent"))
        #expect(try await daemon.logs("outbox.retried"))
        #expect(names(daemon, ["outbox.sent", "outbox.retried"]).first == "outbox.sent")

        #expect(try await daemon.logs("platform.unreachable"))
        await both.silent.simulator.hang([])
        #expect(await both.silent.sent(60, within: .seconds(120)).count == 60)
        #expect(try await daemon.logs("platform.recovered"))
        #expect(daemon.events("platform.unreachable").map { $0["domain"].string } == [both.silent.larkURL])
        #expect(try await both.good.rows("SELECT count(*) FROM gateway.outbox WHERE dead_at IS NOT NULL") == ["(0)"])
        await both.end(daemon)
    }

    @Test("F8: 40 reactions that hang keep no reply of the same bot waiting")
    func reactions() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        await stage.simulator.hang([.reaction])
        for chat in 0..<40 { await stage.say("hello", in: "oc_\(chat)") }
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.hungCalls[.reaction] ?? 0 >= 8 })
        #expect(await stage.sent(40, within: .seconds(60)).count == 40)
        #expect(try await daemon.logs("typing.failed"))
        #expect(names(daemon, ["outbox.sent", "typing.failed"]).first == "outbox.sent")
        await stage.end(worker, daemon)
    }

    @Test("group history that hangs delays no run, and is waited for two seconds also while all its slots are taken")
    func history() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        await stage.simulator.hang([.history, .reaction])
        for chat in 0..<30 { await stage.say("what now?", in: "oc_\(chat)", type: "group", mention: true) }
        #expect(try await daemon.logs("task.queued", count: 30))
        #expect(try await daemon.logs("context.failed", count: 30))
        // A reaction that hangs takes ten seconds, the context two: all of it is over before the first of them.
        let events = names(daemon, ["context.failed", "typing.failed"])
        #expect(events.prefix(30).allSatisfy { $0 == "context.failed" }, "\(events)")
        await stage.end(daemon)
    }

    @Test("40 bots of a silent platform keep no bot of another one from connecting")
    func handshakes() async throws {
        let both = try await TwoPlatforms(silentBots: 40)
        await both.silent.simulator.hang([.bootstrap])
        let daemon = try await both.good.start(both.configuration)
        #expect(try await daemon.logs("connection.failed"))
        #expect(names(daemon, ["connection.opened", "connection.failed"]).first == "connection.opened")
        await both.end(daemon)
    }
}
