import AsyncRuntime
import Foundation
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// Number 17 of the operator's list: what `status` says is so, and its exit code says whether a person is needed.
@Suite("status")
struct StatusTests {
    private static let keys = (first: String(repeating: "ab", count: 32), next: String(repeating: "cd", count: 32))

    private func command(_ words: String..., path: String, status: Int32 = 0) async throws -> String {
        let command = try Daemon(words + ["--config", path], environment: ["SECRET": Stage.app.secret])
        #expect(await command.ended() == status, "\(words): \(command.output)")
        return command.output
    }

    private func json(_ words: String..., path: String, status: Int32 = 0) async throws -> JSONValue {
        let command = try Daemon(words + ["--json", "--config", path])
        #expect(await command.ended() == status, "\(words): \(command.output)")
        return try #require(JSONValue(parsing: command.output), "\(command.output)")
    }

    private func kinds(_ status: JSONValue) -> [String?] { status["problems"].array.map { $0["kind"].string } }

    private func isReported(_ state: String, _ stage: Stage) async throws -> Bool {
        try await eventually {
            try await stage.rows("SELECT connection_state FROM gateway.installation") == ["(\(state))"]
        }
    }

    @Test(
        "a bot that is connected is well; of an owner that was killed it says when it was seen last, and of one that stopped that nobody owns its bot"
    )
    func deadOwner() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        #expect(try await isReported("connected", stage))
        let text = try await command("status", path: path)
        #expect(text.contains(/cli_test is owned by \S+, connected for \d+s, last seen \d+s ago\n/), "\(text)")
        #expect(!text.contains("needs a person"))
        let well = try await json("status", path: path)
        #expect(well["ok"].boolean == true && well["problems"].array.isEmpty && well["rest"].integer == 0)
        let bot = try #require(well["installations"].array.first)
        #expect(bot["app_id"].string == "cli_test" && bot["state"].string == "connected")
        #expect(bot["last_seen"].string?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)
        #expect(bot["since"].string?.hasSuffix("Z") == true && bot["reason"].string == nil)

        await daemon.killNow()
        let killed = try await command("status", path: path, status: 1)
        #expect(killed.contains(/cli_test +acme\/support +default +owner_gone/), "\(killed)")
        #expect(
            killed.contains(
                /cli_test was owned by \S+, not connected: that process is gone, last seen \d+s ago\n/), "\(killed)")
        #expect(killed.contains("needs a person: cli_test: not connected"))
        #expect(try await kinds(json("status", path: path, status: 1)) == ["not_owned"])

        let second = try await stage.start(stage.configuration())
        #expect(try await isReported("connected", stage))
        _ = try await command("status", path: path)
        #expect(await second.stop() == 0)
        let free = try await command("status", path: path, status: 1)
        #expect(free.contains(/cli_test is owned by nobody for \d+s\n/), "\(free)")
        await stage.end()
    }

    @Test("an owner on another machine that does not renew its lease is not connected, long before the lease runs out")
    func silentOwner() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        #expect(await daemon.stop() == 0)
        func renewed(_ ago: Int) async throws {
            try await stage.pool.run("UPDATE gateway.installation SET lease_holder = 'elsewhere/1'")
            try await stage.pool.run(
                """
                UPDATE gateway.installation SET connection_state = 'connected', connection_since = now(),
                    lease_renewed_at = now() - \(ago) * interval '1s', lease_expires_at = now() + (90 - \(ago)) * interval '1s'
                """)
        }
        try await renewed(25)
        #expect(
            try await command("status", path: path).contains(
                /owned by elsewhere\/1, connected for \d+s, last seen 2\ds ago/))
        for ago in [60, 200] {
            try await renewed(ago)
            let text = try await command("status", path: path, status: 1)
            #expect(
                text.contains(
                    /was owned by elsewhere\/1, not connected: it does not renew its lease, last seen \d+s ago/),
                "\(text)")
        }
        // The lease of a replica of the version before, which was not heard of since: it counts while it runs.
        try await renewed(25)
        try await stage.pool.run("UPDATE gateway.installation SET lease_renewed_at = NULL")
        _ = try await command("status", path: path)
        await stage.end()
    }

    @Test(
        "a bot that is added under a key that the running gateway lacks is locked, in status and list, until the gateway has the key"
    )
    func lockedSecret() async throws {
        let stage = try await Stage()
        func configuration(_ sealing: String) -> String {
            """
            {"database_url": "\(stage.url)", "sealing": {"key": \(sealing)}, "agents": [], "installations": [],
             "metrics": {"listen": null}}
            """
        }
        let path = try Daemon.file(configuration("\"\(Self.keys.first)\""))
        let daemon = try Daemon(["run", "--config", path])
        #expect(try await daemon.logs("gateway.started"), "\(daemon.output)")
        let other = try Daemon.file(configuration("\"\(Self.keys.next)\""))
        _ = try await command(
            "installation", "add", "cli_test", "--workspace", "acme", "--agent", "support", "--secret", "env:SECRET",
            "--domain", stage.larkURL, path: other)
        #expect(try await isReported("locked", stage))
        let text = try await command("status", path: path, status: 1)
        #expect(
            text.contains(
                /cli_test is locked for \d+s: its secret is sealed with the key [0-9a-f]{8}, which the gateway does not have/
            ),
            "\(text)")
        #expect(try await kinds(json("status", path: path, status: 1)) == ["secret_locked"])
        #expect(try await command("installation", "list", path: path).contains(/active, locked/))
        #expect(
            try await json("installation", "list", path: path)["installations"].array.map {
                $0["secret_locked"].boolean
            }
                == [true])

        try configuration("\"\(Self.keys.next)\"").write(toFile: path, atomically: true, encoding: .utf8)
        daemon.signal(SIGHUP)
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 1 })
        #expect(try await isReported("connected", stage))
        _ = try await command("status", path: path)
        // One that its owner holds, and can't open: the row names another domain.
        try await stage.pool.run("UPDATE gateway.installation SET domain = 'https://lark.test'")
        #expect(try await isReported("locked", stage))
        let held = try await command("status", path: path, status: 1)
        #expect(held.contains(/cli_test is owned by \S+, locked for \d+s: .*https:\/\/lark.test/), "\(held)")
        await stage.end(daemon)
    }

    @Test("what needs a person stands first, and what --limit leaves out is counted")
    func bounds() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        #expect(try await isReported("connected", stage))
        try await stage.pool.run(
            """
            INSERT INTO gateway.installation (app_id, workspace_id, agent_id, domain, locale, access, origin, status, revoked_by)
            SELECT 'cli_z' || n, i.workspace_id, i.agent_id, 'https://lark.test', 'en', 'open', 'command',
                CASE WHEN n = 1 THEN 'revoked' ELSE 'active' END, CASE WHEN n = 1 THEN 'command' END
            FROM gateway.installation i, generate_series(1, 3) n
            """)
        let status = try await json("status", "--limit", "1", path: path, status: 1)
        #expect(status["installations"].array.map { $0["app_id"].string } == ["cli_z2"])
        #expect(status["rest"].integer == 3 && status["problems_rest"].integer == 1)
        let text = try await command("status", "--limit", "1", path: path, status: 1)
        #expect(text.contains("and 3 more: --limit 4 shows all") && text.hasSuffix("needs a person: 1 more bots\n"))
        // Revoked ones are well, whoever does not own them.
        let all = try await json("status", path: path, status: 1)
        #expect(all["problems"].array.map { $0["subject"].string } == ["cli_z2", "cli_z3"])
        await stage.end(daemon)
    }

    @Test(
        "tasks that wait for over a minute while no worker has any of their runtime need a person; and so does what was given up"
    )
    func workers() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        #expect(try await isReported("connected", stage))
        await stage.say("hello")
        #expect(try await daemon.logs("task.queued"))
        let young = try await json("status", path: path)
        #expect(young["runtimes"].array.map { $0["queued"].integer } == [1])
        try await stage.pool.run("UPDATE gateway.agent_task SET created_at = now() - interval '75s'")
        let text = try await command("status", path: path, status: 1)
        #expect(text.contains("needs a person: default: 1 tasks wait, the oldest for 1m1"), "\(text)")
        #expect(try await kinds(json("status", path: path, status: 1)) == ["no_worker"])
        // Others wait while a worker has one.
        try await stage.pool.run(
            """
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id, status, claim_expires_at)
            SELECT installation_id, session_id, agent_id, runtime_id, 'claimed', now() + interval '1h' FROM gateway.agent_task
            """)
        _ = try await command("status", path: path)
        // What was given up counts for a day.
        try await stage.pool.run(
            """
            INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload, dead_at)
            SELECT id, 'notice', 'chat_id', 'oc_1', '{}', clock_timestamp() FROM gateway.installation
            """)
        #expect(try await kinds(json("status", path: path, status: 1)) == ["outbox_dead"])
        try await stage.pool.run("UPDATE gateway.outbox SET dead_at = now() - interval '25h' WHERE dead_at IS NOT NULL")
        #expect(try await json("status", path: path)["installations"].array.first?["outbox_dead"].integer == 1)
        await stage.end(daemon)
    }

    @Test("a database that is away, and one without the schema, are told so, in the same form")
    func database() async throws {
        let away = try Daemon.file(#"{"database_url": "postgresql://nobody@127.0.0.1:1/none"}"#)
        #expect(try await command("status", path: away, status: 1).contains("no connection to Postgres"))
        let status = try await json("status", path: away, status: 1)
        #expect(kinds(status) == ["database"] && status["ok"].boolean == false && status["installations"].array.isEmpty)

        let stage = try await Stage()
        try await stage.pool.run("DROP SCHEMA gateway CASCADE")
        let path = try Daemon.file(stage.configuration())
        let words = try await command("status", path: path, status: 1)
        #expect(words.contains("the schema is missing: start the gateway or run lark-gateway migrate"), "\(words)")
        #expect(
            try await json("status", path: path, status: 1)["problems"].array.first?["text"].string?
                .hasPrefix("the schema is missing") == true)
        await stage.end()
    }

    @Test("offline, archived and overridden agents are shown, and are no problem")
    func decisions() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        #expect(try await isReported("connected", stage))
        _ = try await command("agent", "set-offline", "acme/support", path: path)
        let offline = try await command("status", path: path)
        #expect(offline.contains(/cli_test +acme\/support +offline +connected/))
        #expect(
            offline.contains(/\nacme\/support: runtime offline \(file: default\) by \S+@\S+, .* ago\n/), "\(offline)")
        let override = try #require(
            try await json("status", path: path)["installations"].array.first?["agent_overrides"].array.first)
        #expect(override["setting"].string == "runtime" && override["said"].string == nil)
        #expect(override["file"].string == "default" && override["hides"].boolean == true)
        _ = try await command("agent", "archive", "acme/support", path: path)
        #expect(try await command("status", path: path).contains(/acme\/support +archived +connected/))
        await stage.end(daemon)
    }

    @Test("each list is one JSON object with --json; a command that is no list refuses it")
    func lists() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        await stage.say("/issue It broke")
        _ = await stage.sent(1)
        let agent = try #require(try await json("agent", "list", path: path)["agents"].array.first)
        #expect(agent["agent"].string == "support" && agent["may_mention_all"].boolean == false)
        #expect(agent["bots"].integer == 1 && agent["overrides"].array.isEmpty)
        let members = try await json("member", "list", path: path)
        #expect(members["members"].array.map { $0["member"].string } == ["ou_1"] && members["rest"].integer == 0)
        let issue = try #require(try await json("issue", "list", path: path)["issues"].array.first)
        #expect(issue["title"].string == "It broke" && issue["created_at"].string?.hasSuffix("Z") == true)
        #expect(issue["age_seconds"].exists)
        let outbox = try await json("outbox", "list", path: path)
        #expect(outbox["waiting"].array.isEmpty && outbox["dead_rest"].integer == 0)
        #expect(try await json("worker-role", "list", path: path)["worker_roles"].array.isEmpty)
        #expect(
            try await command("agent", "archive", "acme/support", "--json", path: path, status: 2)
                .contains("--json is for lists and status"))
        await stage.end(daemon)
    }
}
