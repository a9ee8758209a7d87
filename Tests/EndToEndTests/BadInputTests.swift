import Curl
import AsyncRuntime
import Foundation
import Gateway
import HTTPServer
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("Bad input, through the real daemon")
struct BadInputTests {
    @Test("I9, D7: garbage costs one line each, and blocks nothing behind it")
    func garbage() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        await stage.simulator.sendRaw([0xFF, 0xFF, 0xFF])
        await stage.simulator.sendRawText("hello?")
        let unknown = Frame(
            service: 1, method: Frame.Method.data,
            headers: [Frame.Header(key: "type", value: "surprise"), Frame.Header(key: "message_id", value: "x")])
        await stage.simulator.sendRaw(unknown.encoded())
        let text = await stage.simulator.deliver(Array("not json".utf8), messageID: "om_text", to: Stage.app.id)
        #expect(!text.isEmpty)
        await stage.simulator.deliver(
            Array(#"{"header":{"event_type":"im.chat.disbanded_v1"}}"#.utf8), messageID: "om_other", to: Stage.app.id)
        let nul = await stage.say("a\0b")
        let good = await stage.say("good")
        for id in ["om_text", "om_other", nul, good] { #expect(await stage.acked(id, [200]), "\(id)") }
        #expect(try await daemon.logged("frame.dropped", count: 2).count == 2)
        #expect(try await daemon.logged("frame.ignored").count == 1)
        #expect(try await daemon.logged("event.undecodable").count == 1)
        #expect(
            try await stage.rows("SELECT content FROM gateway.chat_message ORDER BY position") == [
                "(a\u{FFFD}b)", "(good)",
            ])
        #expect(try await stage.rows("SELECT reason FROM gateway.inbound_audit") == ["(invalid_event)"])
        #expect(daemon.events("connection.closed").isEmpty)
        #expect(!daemon.output.contains("good"), "a message's text is in no log line")
        await stage.end(daemon)
    }

    @Test("a large event comes in parts and is stored whole")
    func parts() async throws {
        var timing = Stage.quick
        timing.partBytes = 1000
        let stage = try await Stage(timing: timing)
        let daemon = try await stage.start(stage.configuration())
        let id = await stage.say(String(repeating: "ä", count: 30_000))
        #expect(await stage.acked(id, [200]))
        #expect(try await stage.rows("SELECT length(content) FROM gateway.chat_message") == ["(30000)"])
        await stage.end(daemon)
    }

    /// An ack that does not come for so long belongs to a daemon that stands still; not to one on a slow machine.
    private static var patient: LarkSimulator.Timing {
        var timing = Stage.quick
        timing.ackTimeout = .seconds(10)
        return timing
    }

    private func wasAckedAtOnce(_ messageID: String, _ stage: Stage) async -> Bool {
        guard await stage.acked(messageID, [200], within: .seconds(120)) else { return false }
        return await stage.simulator.states(of: messageID).map(\.attempts) == [1]
    }

    @Test("S1: while long replies of empty lines go out, what people write is acked in its first delivery")
    func emptyLines() async throws {
        let stage = try await Stage(timing: Self.patient)
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker(
            command: [
                "/bin/sh", "-c",
                "if grep -q flood; then echo a; head -c 14000 /dev/zero | tr '\\0' '\\n'; echo b; else echo done; fi",
            ], options: ["--concurrency", "2"])
        for chat in ["oc_1", "oc_2"] { await stage.say("flood", in: chat) }
        #expect(try await worker.logs("task.completed", count: 2))
        // One after another, until both replies are there, and at least once.
        var isOut = false
        while !isOut {
            isOut = await stage.simulator.sentMessages.count { $0.receiver != "oc_3" } == 2
            let id = await stage.say("hello", in: "oc_3")
            guard await wasAckedAtOnce(id, stage) else {
                Issue.record("not acked in its first delivery")
                break
            }
        }
        let floods = await stage.sent(2).filter { $0.receiver != "oc_3" }
        #expect(floods.allSatisfy { $0.content == #"{"text":"a\#(String(repeating: #"\n"#, count: 14_001))b"}"# })
        await stage.end(worker, daemon)
    }

    @Test(
        "S2: a stranger's text of signs that may begin a mention is acked in its first delivery, and so is everybody else's"
    )
    func mentionSigns() async throws {
        let apps = [Stage.app, SimulatedApp(id: "cli_other", secret: "other-secret")]
        let stage = try await Stage(apps: apps, timing: Self.patient)
        let daemon = try await stage.start(stage.configuration(access: "pairing"))
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 2 })
        var flood = SimulatedMessage(
            chatID: "oc_1", sender: "ou_stranger", text: String(repeating: "@_", count: 74_000))
        flood.mentionedNames = (0..<50).map { "Name \($0)" }
        var floods: [String] = []
        for _ in 0..<10 {
            flood.messageID = SimulatedMessage.freshID()
            floods.append(flood.messageID)
            await stage.simulator.send(flood, to: Stage.app.id)
        }
        let other = SimulatedMessage(chatID: "oc_2", sender: "ou_2", text: "hello")
        await stage.simulator.send(other, to: apps[1].id)
        for id in [other.messageID] + floods { #expect(await wasAckedAtOnce(id, stage), "\(id)") }
        #expect(try await stage.rows("SELECT DISTINCT reason FROM gateway.inbound_audit") == ["(unbound_user)"])
        await stage.end(daemon)
    }

    @Test("D14: a bootstrap that is refused is said once; one that answers garbage is tried again")
    func bootstrap() async throws {
        let stage = try await Stage()
        await stage.simulator.failEndpoint([
            .raw(status: 502, body: "<html>bad gateway</html>"), .code(1, message: "busy"),
        ])
        let daemon = try Daemon.run(stage.configuration())
        #expect(try await daemon.logs("connection.failed"))
        await stage.end(daemon)

        let refused = try await Stage()
        await refused.simulator.failEndpoint([.code(403, message: "banned")])
        let other = try Daemon.run(refused.configuration())
        #expect(try await other.logs("installation.refused"))
        #expect(other.events("installation.refused").first?["code"].integer == 403)
        #expect(await other.stop() == 0)
        await refused.end()
    }

    @Test("D14, I8: a wrong secret is refused with what to do, and is not in the log")
    func wrongSecret() async throws {
        let stage = try await Stage()
        let daemon = try Daemon.run(stage.configuration(secret: "wrong-5ecret"))
        #expect(try await daemon.logs("installation.refused"))
        #expect(daemon.events("installation.refused").first?["reason"].string?.contains("app_secret") == true)
        #expect(!daemon.output.contains("wrong-5ecret"))
        let check = try Daemon(["check", "--config", try Daemon.file(stage.configuration(secret: "wrong-5ecret"))])
        #expect(await check.ended() == 1)
        #expect(check.output.contains("FAIL  cli_test"))
        #expect(!check.output.contains("wrong-5ecret"))
        await stage.end(daemon)
    }

    @Test("check says what is good, and changes nothing")
    func check() async throws {
        let stage = try await Stage(url: try await TestPostgres.makeEmptyDatabase())
        let file = try Daemon.file(stage.configuration())
        let check = try Daemon(["check", "--config", file])
        #expect(await check.ended() == 0)
        #expect(check.output.contains("to be applied: schema: new"))
        #expect(check.output.contains("ok    cli_test"))
        // S23
        chmod(file, 0o644)
        let exposed = try Daemon(["check", "--config", file])
        #expect(await exposed.ended() == 1)
        let words = "\(file): everybody on this machine may read it, and it holds secrets; type: chmod o= '\(file)'"
        #expect(exposed.output.contains("FAIL  \(words)"), "\(exposed.output)")
        #expect(try await stage.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'gateway'").isEmpty)
        let daemon = try Daemon(["run", "--config", file])
        let event = try #require(try await daemon.logged("configuration.exposed").first)
        #expect(event["level"].string == "warning" && event["file"].string == file)
        #expect(event["hint"].string == "chmod o= '\(file)'")
        await stage.end(daemon)
    }

    @Test("an unreachable database, and one that another version has changed, end with a clear line and code 1")
    func database() async throws {
        let unreachable = try Daemon([
            "migrate", "--config", try Daemon.file(#"{"database_url": "host=127.0.0.1 port=1"}"#),
        ])
        #expect(await unreachable.ended() == 1)
        #expect(unreachable.output.contains("refused"))

        let nowhere = try await TestPostgres.makeDatabase().replacingOccurrences(of: "dbname=", with: "dbname=no_")
        let missing = try Daemon.run(#"{"database_url": "\#(nowhere)", "metrics": {"listen": null}}"#)
        #expect(await missing.ended() == 1, "what the server refuses is not waited for")
        #expect(missing.output.contains("does not exist"))

        let url = try await TestPostgres.makeDatabase()
        let pool = Pool(url: url, size: 1)
        try await pool.run("UPDATE gateway.migration SET checksum = 0 WHERE number = 2")
        await pool.close()
        let edited = try Daemon([
            "run", "--config", try Daemon.file(#"{"database_url": "\#(url)", "metrics": {"listen": null}}"#),
        ])
        #expect(await edited.ended() == 1)
        #expect(edited.output.contains("migration 2 (ingest) was edited"))
    }

    @Test("a port that somebody else has ends the start with the address and code 1, before anything else happened")
    func ports() async throws {
        let url = try await TestPostgres.makeEmptyDatabase()
        let taken = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("mine\n") }
        let listen = #"{"listen": "127.0.0.1:\#(taken.port)"}"#
        for keys in [
            #""metrics": \#(listen)"#,
            #""metrics": {"listen": "127.0.0.1:0"}, "public_url": "https://e.com", "pairing": \#(listen)"#,
        ] {
            let daemon = try Daemon.run(#"{"database_url": "\#(url)", \#(keys)}"#)
            #expect(await daemon.ended() == 1)
            #expect(daemon.output.contains("can't listen on 127.0.0.1:\(taken.port): Address already in use"))
            #expect(daemon.events("schema.created").isEmpty)
        }
        await taken.stop()
    }

    @Test("the metrics port takes no body: a request that announces one is refused before it has come")
    func bodyForMetrics() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let port = Int(try #require(daemon.events("metrics.listening").first?["port"].integer))
        let client = try RawClient(port: port)
        await client.write("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 14680064\r\n\r\n")
        let answer = await client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 413 "), "\(answer)")
        #expect(try await stage.metrics(of: daemon).contains("lark_gateway_connections"))
        await stage.end(daemon)
    }

    @Test("a simulated Lark that other machines can reach is refused, unless that is said")
    func exposedSimulator() async throws {
        let refused = try Daemon(["simulate", "--listen", "0.0.0.0:0"])
        // One that is not refused says where it listens, and would not end by itself.
        let hasSpoken = try await eventually { !refused.output.isEmpty }
        #expect(hasSpoken)
        #expect(refused.output.contains("use 127.0.0.1, or say --exposed"), "\(refused.output)")
        #expect(await refused.stop() == 2)
        let exposed = try Daemon(["simulate", "--exposed", "--listen", "0.0.0.0:0"])
        let isUp = try await eventually { exposed.output.contains("a simulated Lark on ") }
        #expect(isUp, "\(exposed.output)")
        #expect(await exposed.stop() == 0)
    }

    @Test("until the database is there the pairing page says that it can't, and readiness too")
    func notYetReady() async throws {
        let daemon = try Daemon.run(
            """
            {"database_url": "host=127.0.0.1 port=1", "metrics": {"listen": "127.0.0.1:0"},
             "public_url": "https://e.com", "pairing": {"listen": "127.0.0.1:0"}}
            """)
        #expect(try await daemon.logs("database.unavailable"))
        func get(_ listening: String, _ path: String) async throws -> Int {
            let port = try #require(daemon.events(listening).first?["port"].integer)
            let url = try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
            return try await HTTPExchange(timeout: .seconds(30)).send("GET", url).status
        }
        #expect(try await get("pairing.listening", "/pair/" + String(repeating: "A", count: 43)) == 503)
        #expect(try await get("pairing.listening", "/") == 404)
        #expect(try await get("pairing.listening", "/metrics") == 404, "what is shown to the world is the page alone")
        #expect(try await get("metrics.listening", "/readyz") == 503)
        #expect(await daemon.stop() == 0)
    }

    @Test(
        "a configuration of a wrong kind ends with code 78 and the key path",
        arguments: [
            ("{", "not JSON"), (#"{"databse_url": "x"}"#, "databse_url: unknown key"),
            (
                #"{"installations": [{"app_id": "cli_1", "workspace": "w", "agent": "a"}]}"#,
                "installations[0].app_secret: missing"
            ),
            (#"{"batching": {"silence_window": "3"}}"#, "batching.silence_window: found \"3\""),
            (#"{"installations": [], "installations": []}"#, "installations: stands twice"),
        ])
    func configuration(text: String, message: String) async throws {
        let daemon = try Daemon.run(text)
        #expect(await daemon.ended() == 78)
        let event = try #require(daemon.events("gateway.failed").first)
        #expect(event["error"].string?.contains(message) == true, "\(daemon.output)")
        #expect(event["level"].string == "error" && event["exit_code"].integer == 78)
        #expect(event["hint"].string?.contains("lark-gateway check --config /") == true)
        #expect(daemon.output.split(separator: "\n").count == 1)
    }

    @Test("wrong usage ends with code 2")
    func usage() async throws {
        for words in [
            [], ["fly"], ["run", "x"], ["agent"], ["run", "--confg", "x"],
            ["worker", "--config", "x", "--runtime", "y"],
        ] {
            let command = try Daemon(words)
            #expect(await command.ended() == 2, "\(words)")
        }
    }
}

@Suite("The daemon as a service")
struct ServiceTests {
    @Test(
        "without database_url it runs on its own Postgres, survives kill -9, and stops it at the end")
    func ownPostgres() async throws {
        let stage = try await Stage()
        let state = try TemporaryFolder.make("state")
        let user = geteuid() == 0 ? "postgres" : nil
        if user != nil { chown(state, try #require(getpwnam("postgres")).pointee.pw_uid, gid_t.max) }
        let configuration = stage.configuration(database: false, extra: ",\n\"state_directory\": \"\(state)\"")
        let first = try Daemon.run(configuration, user: user)
        #expect(try await first.logs("connection.opened"))
        await first.killNow()
        let second = try Daemon.run(configuration, user: user)
        #expect(try await second.logs("connection.opened"))
        #expect(second.output.contains(#""adopted":true"#))
        let id = await stage.say("hello")
        #expect(await stage.acked(id, [200]))
        #expect(await second.stop() == 0)
        #expect(!FileManager.default.fileExists(atPath: state + "/postgres/data/postmaster.pid"))
        await stage.end()
    }

    @Test("without database_url, as root, it says what to do instead", .enabled(if: geteuid() == 0))
    func asRoot() async throws {
        let state = try TemporaryFolder.make("state")
        let daemon = try Daemon.run(#"{"state_directory": "\#(state)"}"#)
        #expect(await daemon.ended() == 78)
        #expect(daemon.output.contains("run lark-gateway as a system user"))
    }

    @Test("systemd hears READY when the daemon works, WATCHDOG while it does, and STOPPING")
    func systemd() async throws {
        let stage = try await Stage()
        let systemd = try NotifySocket()
        let heard = Recorder<String>()
        @Sendable func hears(_ word: String) async throws -> Bool {
            try await eventually {
                if let datagram = systemd.next() { heard.record(datagram) }
                return heard.all.contains { $0.hasPrefix(word) }
            }
        }
        let daemon = try Daemon(
            ["run", "--config", try Daemon.file(stage.configuration())],
            environment: ["NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "200000"])
        #expect(try await hears("READY=1"))
        #expect(try await hears("WATCHDOG=1"))
        daemon.signal(SIGTERM)
        #expect(try await hears("STOPPING=1"))
        #expect(await daemon.ended() == 0)
        await stage.end()
    }

    @Test("metrics, health and readiness are served on the port that the log names")
    func metrics() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        let id = await stage.say("count me")
        #expect(await stage.acked(id, [200]))
        let port = try #require(daemon.events("metrics.listening").first?["port"].integer)
        let http = HTTPExchange()
        func get(_ path: String) async throws -> (Int, String) {
            let url = try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
            let answer = try await http.send("GET", url)
            return (answer.status, String(decoding: answer.body, as: UTF8.self))
        }
        #expect(try await get("/healthz").0 == 200)
        #expect(try await get("/readyz").0 == 200)
        #expect(try await get("/nothing").0 == 404)
        let text = try await get("/metrics").1
        #expect(text.contains(#"lark_gateway_messages_total{verdict="ingested"} 1"#))
        #expect(text.contains("lark_gateway_connections 1"))
        #expect(text.hasSuffix("# EOF\n"))
        await stage.end(daemon)
    }

    @Test("status tells what stands in the database")
    func status() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration(window: "20s", maxWait: "30s"))
        let id = await stage.say("wait")
        #expect(await stage.acked(id, [200]))
        // It is written some time after it became so.
        let isWritten = try await eventually {
            try await stage.rows("SELECT connection_state FROM gateway.installation") == ["(connected)"]
        }
        #expect(isWritten)
        let status = try Daemon(["status", "--config", try Daemon.file(stage.configuration())])
        #expect(await status.ended() == 0)
        #expect(status.output.contains(/cli_test +acme\/support +default +connected +1 +0 +0 +0 +- +0/))
        await stage.end(daemon)
    }
}
