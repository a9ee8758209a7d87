import AsyncRuntime
import Foundation
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("A worker with a database role of its own, through the real programs")
struct WorkerRoleWayTests {
    private func command(_ words: [String], _ configuration: String) async throws -> (status: Int32, output: String) {
        let command = try Daemon(words + ["--config", configuration])
        return (await command.ended(), command.output)
    }

    @Test(
        "a role that worker-role added claims, shows progress and answers, from the worker and from another language; removed, it gets nothing"
    )
    func way() async throws {
        let stage = try await Stage()
        let role = "agents_" + (try await stage.rows("SELECT current_database()")[0].dropFirst().dropLast())
        let daemon = try await stage.start(stage.configuration())
        let administrator = try Daemon.file(stage.configuration())
        let missing = try await command(["worker-role", "add", role, "--runtime", "default"], administrator)
        #expect(missing.status == 1 && missing.output.contains("CREATE ROLE \"\(role)\""), "\(missing)")
        try await stage.pool.run("CREATE ROLE \(role) LOGIN")
        #expect(try await command(["worker-role", "add", role, "--runtime", "default"], administrator).status == 0)
        let list = try await command(["worker-role", "list"], administrator)
        #expect(list.output.contains(role) && list.output.contains("default"), "\(list)")

        let url = stage.url + " user=\(role)"
        let own = try Daemon.file(#"{"database_url": "\#(url)"}"#)
        let script = #"echo '{"progress": "looking"}'; sleep 1; grep -o '"content": *"[^"]*"' | tail -1"#
        let worker = try Daemon(
            ["worker", "--config", own, "--runtime", "default", "--lease", "2s", "--", "/bin/sh", "-c", script])
        #expect(try await worker.logs("worker.started"))
        await stage.say("hello")
        let sent = await stage.sent(2)
        #expect(sent.first?.content.contains("looking") == true, "\(sent)")
        #expect(sent.last?.content.contains("hello") == true, "\(sent)")
        #expect(try await worker.logs("task.completed"))
        #expect(await worker.stop() == 0)
        #expect(worker.events("database.unavailable").isEmpty, "\(worker.output)")

        let example = PeerProcess(
            "/usr/bin/python3",
            [
                URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                    .appendingPathComponent("../../examples/worker.py").standardized.path, url,
            ])
        await stage.say("and you?")
        #expect(await stage.sent(3).last?.content == #"{"text":"You said: and you?"}"#)
        await example.stop()

        let removed = try await command(["worker-role", "remove", role], administrator)
        #expect(removed.status == 0)
        #expect(try await command(["worker-role", "remove", role], administrator).status == 1)
        let refused = try Daemon(["worker", "--config", own, "--runtime", "default", "--", "/bin/cat"])
        #expect(try await refused.logs("database.unavailable"))
        let refusal = try #require(refused.events("database.unavailable").first)
        #expect(refusal["level"].string == "error" && refusal["error"].string?.contains("42501") == true, "\(refusal)")
        #expect(refusal["hint"].string?.contains("the rights") == true, "\(refusal)")
        #expect(await refused.stop() == 0)
        try await stage.pool.run("DROP ROLE \(role)")
        await stage.end(daemon)
    }

    @Test("a worker's role that floods every channel with notifications keeps nobody else waiting")
    func flood() async throws {
        let stage = try await Stage()
        let role = "flood_" + (try await stage.rows("SELECT current_database()")[0].dropFirst().dropLast())
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        try await stage.pool.run("CREATE ROLE \(role) LOGIN")
        let hostile = Pool(url: stage.url + " user=\(role)", size: 1)
        let stop = AsyncEvent()
        let flooding = Task {
            var count = 0
            while !stop.isSet {
                for channel in ["outbox", "window", "progress", "installation", "task", "nonsense"] {
                    try await hostile.run(
                        "SELECT pg_notify('gateway_\(channel)', n::text) FROM generate_series(1, 200) n")
                    count += 200
                }
            }
            return count
        }
        for number in 1...5 {
            let id = await stage.say("message \(number)")
            #expect(await stage.acked(id, [200]))
            #expect(await stage.sent(number, within: .seconds(10)).last?.content.contains("message \(number)") == true)
        }
        stop.set()
        #expect(try await flooding.value > 1_000)
        await hostile.close()
        try await stage.pool.run("DROP ROLE \(role)")
        await stage.end(worker, daemon)
    }

    @Test("a flood of notifications makes the daemon look a hundred times a second at the most")
    func boundedFlood() async throws {
        let stage = try await Stage()
        let role = "paced_" + (try await stage.rows("SELECT current_database()")[0].dropFirst().dropLast())
        // Sessions of this test's database count the calls of functions.
        let database = try await stage.rows("SELECT current_database()")[0].dropFirst().dropLast()
        try await stage.pool.run("ALTER DATABASE \(database) SET track_functions = 'pl'")
        let daemon = try await stage.start(stage.configuration())
        try await stage.pool.run("CREATE ROLE \(role) LOGIN")
        let hostile = Pool(url: stage.url + " user=\(role)", size: 1)
        let began = ContinuousClock.now
        // Each is a transaction of its own, so that each is handed on by itself.
        let flood = """
            DO $$ BEGIN
                FOR n IN 1..5000 LOOP
                    PERFORM pg_notify('gateway_outbox', n::text), pg_notify('gateway_progress', n::text);
                    COMMIT;
                END LOOP;
            END $$
            """
        for _ in 0..<5 { try await hostile.run(flood) }
        await daemon.killNow()
        let lasted = began.duration(to: .now)
        // A session tells its counts at its end.
        _ = try await eventually {
            try await stage.rows(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND usename = current_user AND application_name ~ '^lark'
                """
            )
                == ["(0)"]
        }
        let calls = try await stage.rows(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'take_outbox'"
        )[0]
        let count = Int(calls.dropFirst().dropLast()) ?? .max
        #expect(count > 0 && Double(count) < lasted / .milliseconds(10) + 100, "\(count) in \(lasted)")
        await hostile.close()
        try await stage.pool.run("DROP ROLE \(role)")
        await stage.end()
    }

    @Test("wrong words for worker-role are wrong usage, and the gateway's own role is refused")
    func mistakes() async throws {
        let stage = try await Stage()
        let configuration = try Daemon.file(stage.configuration())
        for words in [["add", "x"], ["remove"], ["lits"], ["add", "x", "--runtime", ""]] {
            let result = try await command(["worker-role"] + words, configuration)
            #expect(result.status == 2, "\(words): \(result)")
        }
        let owner = try await stage.rows("SELECT current_user")[0].dropFirst().dropLast()
        let result = try await command(["worker-role", "add", String(owner), "--runtime", "default"], configuration)
        #expect(result.status == 1 && result.output.contains("rights of its owner"), "\(result)")
        await stage.end()
    }
}
