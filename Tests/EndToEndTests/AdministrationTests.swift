import AsyncRuntime
import Foundation
import Lark
import LarkSimulator
import Output
import Postgres
import TestSupport
import Testing

/// What commands and a reload change while the daemon runs.
@Suite("Changes while the daemon runs")
struct AdministrationTests {
    private static let key = String(repeating: "ab", count: 32)
    private static let nextKey = String(repeating: "cd", count: 32)

    /// A simulated Lark with two apps, a database, and a configuration file that can be written anew.
    private struct Place {
        let simulator: LarkSimulator
        let apps = [SimulatedApp(id: "cli_a", secret: "secret-a"), SimulatedApp(id: "cli_b", secret: "secret-b")]
        let url: String
        let pool: Pool
        let lark: String
        let path: String

        init() async throws {
            simulator = LarkSimulator(apps: apps, timing: Stage.quick)
            try await simulator.start()
            lark = await simulator.url
            url = try await TestPostgres.makeDatabase()
            pool = Pool(url: url, size: 2, applicationName: "tests")
            path = try Daemon.file("{}")
        }

        func write(
            installations: [String] = [], agents: String = "[]", sealing: String? = AdministrationTests.key,
            previous: String? = nil, extra: String = ""
        ) throws {
            let old = previous.map { #", "previous": ["\#($0)"]"# } ?? ""
            let keys = sealing.map { #""sealing": {"key": "\#($0)"\#(old)},"# } ?? ""
            try """
            {"database_url": "\(url)", \(keys) "agents": \(agents), "installations": [\(installations.joined(separator: ","))],
             "batching": {"silence_window": "300ms", "max_wait": "2s"}, "metrics": null\(extra)}
            """.replacingOccurrences(of: #""metrics": null"#, with: #""metrics": {"listen": null}"#)
                .write(toFile: path, atomically: true, encoding: .utf8)
        }

        func installation(_ app: String, secret: String, agent: String = "support") -> String {
            """
            {"app_id": "\(app)", "app_secret": "\(secret)", "domain": "\(lark)", "workspace": "acme", "agent": "\(agent)",
             "access": "open"}
            """
        }

        func start() async throws -> Daemon {
            let daemon = try Daemon(["run", "--config", path])
            let isStarted = try await daemon.logs("gateway.started")
            #expect(isStarted, "\(daemon.output)")
            return daemon
        }

        /// - Returns: what it printed.
        func command(_ words: String..., environment: [String: String] = [:], status: Int32 = 0) async throws -> String
        {
            let command = try Daemon(words + ["--config", path], environment: environment)
            #expect(await command.ended() == status, "\(command.output)")
            return command.output
        }

        func connections(_ count: Int) async -> Bool {
            await simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == count }
        }

        func say(_ text: String, to app: String) async -> Bool {
            let message = SimulatedMessage(chatID: "oc_1", sender: "ou_1", text: text)
            await simulator.send(message, to: app)
            return await simulator.wait(until: .after(.seconds(30))) { simulator in
                simulator.states(of: message.messageID).contains { $0.isSettled }
            }
        }

        func end(_ daemon: Daemon) async {
            await daemon.killNow()
            await simulator.stop()
            await pool.close()
        }
    }

    @Test(
        "an installation that a command adds is connected, gets its new secret, is revoked and restored; nothing restarts"
    )
    func installations() async throws {
        let place = try await Place()
        try place.write()
        let daemon = try await place.start()
        let added = try await place.command(
            "installation", "add", "cli_a", "--workspace", "acme", "--agent", "support", "--access", "open", "--domain",
            place.lark, "--secret", "env:SECRET", environment: ["SECRET": "secret-a"])
        #expect(added == "installed\n")
        #expect(await place.connections(1))
        #expect(await place.say("hello", to: "cli_a"))
        // G1: at rest it is sealed.
        let stored =
            "SELECT position('secret-a'::bytea IN sealed_secret), length(sealed_secret) > 40 FROM gateway.installation"
        #expect(try await place.pool.rows(stored) == ["(0,t)"])
        #expect(
            try await place.command("installation", "list").contains(
                /cli_a +acme\/support +active +open +command +sealed with [0-9a-f]{8}/))

        // A secret that is wrong is refused; the right one connects at once, not in five minutes.
        _ = try await place.command(
            "installation", "set-secret", "cli_a", "--secret", "env:SECRET", environment: ["SECRET": "wrong"])
        #expect(try await daemon.logs("installation.refused"))
        #expect(await place.connections(0))
        _ = try await place.command(
            "installation", "set-secret", "cli_a", "--secret", "env:SECRET", environment: ["SECRET": "secret-a"])
        #expect(await place.connections(1))
        #expect(try await daemon.logged("installation.credentials_changed", count: 2).count == 2)

        _ = try await place.command("installation", "revoke", "cli_a")
        #expect(await place.connections(0))
        #expect(
            try await place.command("installation", "revoke", "cli_a", status: 1).contains("no active installation"))
        _ = try await place.command("installation", "restore", "cli_a")
        #expect(await place.connections(1))
        #expect(await place.say("back", to: "cli_a"))
        #expect(
            try await place.pool.rows("SELECT content FROM gateway.chat_message WHERE role = 'user' ORDER BY position")
                == [
                    "(hello)", "(back)",
                ])
        #expect(!daemon.output.contains("secret-a"))
        await place.end(daemon)
    }

    @Test("a new secret that can't be read from the database now is read at the next look")
    func unreadableSecret() async throws {
        let place = try await Place()
        try place.write(extra: #", "lease": {"ttl": "6s", "renew_every": "1s"}"#)
        let daemon = try await place.start()
        _ = try await place.command(
            "installation", "add", "cli_a", "--workspace", "acme", "--agent", "support", "--access", "open", "--domain",
            place.lark, "--secret", "env:SECRET", environment: ["SECRET": "secret-a"])
        #expect(await place.connections(1))
        // Leases are renewed without this column; what a connection is made of needs it.
        try await place.pool.run("ALTER TABLE gateway.installation RENAME COLUMN bot_union_id TO away")
        _ = try await place.command(
            "installation", "set-secret", "cli_a", "--secret", "env:SECRET", environment: ["SECRET": "wrong"])
        #expect(
            try await eventually {
                daemon.events("database.unavailable").contains { $0["during"].string == "load_installations" }
            })
        // The connection that there is goes on.
        #expect(await place.say("hello", to: "cli_a"))
        #expect(daemon.events("installation.credentials_changed").isEmpty)
        try await place.pool.run("ALTER TABLE gateway.installation RENAME COLUMN away TO bot_union_id")
        #expect(try await daemon.logs("installation.credentials_changed"))
        #expect(try await daemon.logs("installation.refused"))
        let hasRecovered = try await eventually {
            daemon.events("database.recovered").contains { $0["during"].string == "load_installations" }
        }
        #expect(hasRecovered)
        await place.end(daemon)
    }

    @Test("an invitation is made for a workspace that there is, listed while it is good, and taken back")
    func invitations() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration()
        let daemon = try await stage.start(configuration)
        func member(_ arguments: String...) async throws -> (Int32, String) {
            let command = try Daemon(["member"] + arguments + ["--config", try Daemon.file(configuration)])
            return (await command.ended(), command.output)
        }
        let made = try await member("invite", "Ann", "--workspace", "acme", "--valid", "90m", "--open-id", "ou_1")
        #expect(made.0 == 0 && made.1.contains(/^([0-9A-Z]{4}-){3}[0-9A-Z]{4}\n/), "\(made.1)")
        #expect(made.1.contains("for 1h30m"))
        #expect(
            try await stage.rows("SELECT member, open_id, used_at FROM gateway.invitation") == ["(Ann,ou_1,)"])
        #expect(try await member("list").1.contains(/acme +Ann +0 +1h29m\d+s/))
        _ = try await member("invite", "Bob", "--workspace", "acme")
        let first = try await member("list", "--limit", "1")
        #expect(first.1.contains("Ann") && !first.1.contains("Bob"), "\(first.1)")
        #expect(first.1.hasSuffix("\nand 1 more: --limit 2 shows all\n"), "\(first.1)")
        #expect(try await member("list", "--limit", "0").0 == 2)
        _ = try await member("remove", "Bob", "--workspace", "acme")
        #expect(try await member("remove", "Ann", "--workspace", "acme") == (0, "the invitation is taken back\n"))
        #expect(try await member("remove", "Ann", "--workspace", "acme") == (1, "no member Ann\n"))
        #expect(try await member("invite", "Ann", "--workspace", "other") == (1, "no workspace other\n"))
        #expect(try await member("invite", "Ann").0 == 2)
        #expect(try await member("invite", "", "--workspace", "acme").0 == 2)
        #expect(try await member("invite", "Ann", "--workspace", "acme", "--valid", "soon").0 == 2)
        let wrong = try await member("invite", "Ann", "--workspace", "acme", "--open-id", "Ann")
        #expect(wrong.0 == 2 && wrong.1.contains("--open-id Ann: expected the open_id of a Lark user"))
        #expect(try await stage.rows("SELECT 1 FROM gateway.invitation").isEmpty)
        await stage.end(daemon)
    }

    @Test("S18: an invitation's code is short and behind the sealing key, or longer where the key can't be read")
    func invitationCodes() async throws {
        let place = try await Place()
        let agents = #"[{"workspace": "acme", "name": "support"}]"#
        try place.write(agents: agents)
        let daemon = try await place.start()
        func isBareHash(_ code: String) async throws -> [String] {
            try await place.pool.rows(
                "SELECT code_sha256 = sha256('\(code.replacing("-", with: ""))'::bytea) FROM gateway.invitation")
        }
        let short = try await place.command("member", "invite", "Ann", "--workspace", "acme").prefix { $0 != "\n" }
        #expect(short.wholeMatch(of: /[0-9A-Z]{5}-[0-9A-Z]{5}/) != nil, "\(short)")
        #expect(try await isBareHash(String(short)) == ["(f)"])
        try place.write(agents: agents, sealing: "credential:key")
        let long = try await place.command("member", "invite", "Ann", "--workspace", "acme").prefix { $0 != "\n" }
        #expect(long.wholeMatch(of: /([0-9A-Z]{4}-){3}[0-9A-Z]{4}/) != nil, "\(long)")
        #expect(try await isBareHash(String(long)) == ["(t)"])
        await place.end(daemon)
    }

    @Test("what people noted with /issue is listed and shown, without doing anything to the terminal")
    func issues() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration()
        let daemon = try await stage.start(configuration)
        await stage.say("/issue It broke \u{1B}[2J again\nwhen I pressed\n\tthe \u{7}button")
        await stage.say("/issue Second")
        _ = await stage.sent(2)
        func issue(_ arguments: String...) async throws -> (Int32, String) {
            let command = try Daemon(["issue"] + arguments + ["--config", try Daemon.file(configuration)])
            return (await command.ended(), command.output)
        }
        let list = try await issue("list", "--workspace", "acme")
        #expect(list.0 == 0)
        #expect(
            list.1.contains(
                /KEY .*\nACME-2 +acme +ou_1 +\d+s +Second\s*\nACME-1 +acme +ou_1 +\d+s +It broke \u{FFFD}\[2J again\s*\n/
            ),
            "\(list.1)")
        #expect(try await !issue("list", "--limit", "1").1.contains("ACME-1"))
        #expect(try await !issue("list", "--workspace", "other").1.contains("ACME"))
        let shown = try await issue("show", "acme-1")
        #expect(shown.0 == 0 && shown.1.contains("\n\n    when I pressed\n     the \u{FFFD}button\n"), "\(shown.1)")
        #expect(!(list.1 + shown.1).contains("\u{1B}"))
        #expect(try await issue("show", "ACME-3") == (1, "no issue ACME-3\n"))
        #expect(try await issue("list", "--limit", "0").0 == 2)
        await stage.end(daemon)
    }

    @Test("S12: what the platform, people and the database say is on one line of status, tables and errors")
    func hidden() async throws {
        let hostile =
            "fake \u{1B}]0;owned\u{7}\u{1B}[2J\u{202E}ti\u{2066}\u{200B}\u{FEFF}\u{9B}31m\ncli_test is owned by eve\u{2028}x"
        let stage = try await Stage()
        let configuration = stage.configuration()
        let daemon = try await stage.start(configuration)
        await stage.say("/issue It broke \u{202E}niaga")
        _ = await stage.sent(1)
        #expect(await daemon.stop() == 0)
        let literal = "'" + hostile + "'"
        try await stage.pool.run(
            "UPDATE gateway.installation SET lease_holder = 'replica', lease_expires_at = now() + interval '1 hour'")
        // A new holder has no connection yet, so by itself.
        try await stage.pool.run(
            "UPDATE gateway.installation SET connection_state = 'backing_off', connection_reason = \(literal)")
        try await stage.pool.run(
            """
            INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload, dead_at, last_error)
            SELECT id, 'notice', 'chat_id', 'oc_1', '{}', clock_timestamp(), \(literal) FROM gateway.installation
            """)
        func output(_ words: String...) async throws -> [String] {
            let command = try Daemon(words + ["--config", try Daemon.file(configuration)])
            _ = await command.ended()
            // Line breaks alone are the program's.
            let hidden = command.output.unicodeScalars.filter { $0 != "\n" && HiddenCharacters.contains($0) }
            #expect(hidden.isEmpty, "\(words): \(command.output.debugDescription)")
            return command.output.split(separator: "\n").map(String.init)
        }
        let status = try await output("status")
        try #require(status.count == 4, "\(status)")
        #expect(status[2].contains("[2J\u{FFFD}ti"), "\(status)")
        #expect(status[3].hasPrefix("needs a person: cli_test: 1 given up within a day"), "\(status)")
        #expect(try await output("outbox", "list").count == 2)
        // In JSON they are escaped.
        for words in [["status"], ["outbox", "list"]] {
            let command = try Daemon(words + ["--json", "--config", try Daemon.file(configuration)])
            _ = await command.ended()
            #expect(!command.output.unicodeScalars.contains { $0 != "\n" && HiddenCharacters.contains($0) })
            #expect(
                JSONValue(parsing: command.output) != nil && command.output.contains("\\u202e"), "\(command.output)")
        }
        let issues = try await output("issue", "list")
        #expect(issues.count == 2 && issues[1].contains("It broke \u{FFFD}niaga"), "\(issues)")
        #expect(try await output(hostile).count == 1)
        #expect(try await output("issue", "show", hostile).count == 1)
        await stage.end()
    }

    @Test("D12: an installation whose domain changes is connected there at once")
    func domain() async throws {
        let place = try await Place()
        let other = LarkSimulator(apps: place.apps, timing: Stage.quick)
        try await other.start()
        try place.write()
        let daemon = try await place.start()
        for domain in [place.lark, await other.url] {
            _ = try await place.command(
                "installation", "add", "cli_a", "--workspace", "acme", "--agent", "support", "--access", "open",
                "--domain", domain, "--secret", "env:SECRET", environment: ["SECRET": "secret-a"])
            let simulator = domain == place.lark ? place.simulator : other
            #expect(await simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 1 })
        }
        #expect(await place.connections(0))
        await other.stop()
        await place.end(daemon)
    }

    @Test("an app that is active elsewhere is refused, in words that say where; a literal secret is refused, too")
    func refusals() async throws {
        let place = try await Place()
        try place.write()
        let daemon = try await place.start()
        func add(_ workspace: String, _ agent: String, secret: String = "env:SECRET", status: Int32) async throws
            -> String
        {
            try await place.command(
                "installation", "add", "cli_a", "--workspace", workspace, "--agent", agent, "--domain", place.lark,
                "--secret", secret, environment: ["SECRET": "secret-a"], status: status)
        }
        #expect(try await add("acme", "support", secret: "secret-a", status: 2).contains("is seen by everybody"))
        let clear = try await place.command(
            "installation", "add", "cli_a", "--workspace", "acme", "--agent", "support", "--domain",
            "http://lark.example",
            "--secret", "env:SECRET", environment: ["SECRET": "secret-a"], status: 78)
        #expect(clear.contains("--domain: http:// carries the app secret and all messages in clear"), "\(clear)")
        _ = try await add("acme", "support", status: 0)
        #expect(try await add("other", "support", status: 1).contains("is installed for workspace acme"))
        #expect(try await add("acme", "sales", status: 1).contains("for the agent support of this workspace"))
        _ = try await place.command("agent", "archive", "acme/support")
        #expect(try await add("acme", "sales", status: 1).contains("for the archived agent support"))
        // G3: revoked, it may be taken.
        _ = try await place.command("installation", "revoke", "cli_a")
        #expect(try await add("other", "support", status: 0).contains("it was revoked"))
        await place.end(daemon)
    }

    @Test(
        "C8: an agent that a command brings online answers what waited; one that is archived says so; a member is removed"
    )
    func agents() async throws {
        let place = try await Place()
        try place.write(
            installations: [place.installation("cli_a", secret: "secret-a")],
            agents: #"[{"workspace": "acme", "name": "support", "runtime": null}]"#)
        let daemon = try await place.start()
        #expect(await place.connections(1))
        #expect(await place.say("hello", to: "cli_a"))
        #expect(await place.simulator.wait(until: .after(.seconds(30))) { $0.sentMessages.count == 1 })
        #expect(try await place.command("agent", "list").contains(/acme\/support +offline +1 +config/))
        _ = try await place.command("agent", "set-runtime", "acme/support", "default")
        #expect(try await daemon.logs("task.queued"))
        #expect(try await place.command("agent", "archive", "acme/nobody", status: 1).contains("no agent acme/nobody"))
        #expect(try await place.command("agent", "list").contains(/acme\/support +default +1 +config +no/))
        _ = try await place.command("agent", "set-mention-all", "acme/support", "yes")
        #expect(try await place.command("agent", "list").contains(/acme\/support +default +1 +config +yes/))
        _ = try await place.command("agent", "set-mention-all", "acme/support", "maybe", status: 2)
        #expect(try await place.command("member", "list").contains(/acme +ou_1 +1 +chat/))
        _ = try await place.command("member", "remove", "ou_1", "--workspace", "acme")
        #expect(await place.say("am I in?", to: "cli_a"))
        #expect(
            try await place.pool.rows("SELECT count(*) FROM gateway.chat_message WHERE content = 'am I in?'") == ["(0)"]
        )
        await place.end(daemon)
    }

    @Test(
        "SIGHUP: what the file adds, changes and drops is applied; what did not change goes on; a wrong file changes nothing"
    )
    func reload() async throws {
        let place = try await Place()
        try place.write(installations: [place.installation("cli_a", secret: "secret-a")])
        let daemon = try await place.start()
        #expect(await place.connections(1))

        try place.write(installations: [
            place.installation("cli_a", secret: "secret-a"), place.installation("cli_b", secret: "wrong"),
        ])
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.reloaded"))
        #expect(daemon.events("configuration.reloaded").first?["needs_restart"].string == nil)
        #expect(try await daemon.logs("installation.refused"))

        try "{".write(toFile: place.path, atomically: true, encoding: .utf8)
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.refused"))
        #expect(daemon.events("configuration.refused").first?["error"].string?.contains("not JSON") == true)

        // A second list would hide the first one, and revoke its bots.
        try place.write(
            installations: [place.installation("cli_a", secret: "secret-a")], extra: #", "installations": []"#)
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.refused", count: 2))
        #expect(
            daemon.events("configuration.refused").last?["error"].string?.hasPrefix("installations: stands twice")
                == true)
        #expect(daemon.events("installation.revoked").isEmpty)
        #expect(await place.say("still here?", to: "cli_a"))

        // A rotated secret connects at once.
        try place.write(
            installations: [
                place.installation("cli_a", secret: "secret-a"), place.installation("cli_b", secret: "secret-b"),
            ], extra: #", "log": {"level": "debug"}"#)
        daemon.signal(SIGHUP)
        #expect(await place.connections(2))
        #expect(try await daemon.logs("configuration.reloaded", count: 2))
        #expect(daemon.events("configuration.reloaded").last?["applied"].string == "installations log.level")
        #expect(daemon.events("configuration.reloaded").last?["needs_restart"].string == nil)

        try place.write(installations: [place.installation("cli_b", secret: "secret-b")])
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("installation.revoked"))
        #expect(daemon.events("installation.revoked").first?["level"].string == "warning")
        #expect(await place.connections(1))
        #expect(
            try await place.pool.rows("SELECT app_id, status, revoked_by FROM gateway.installation ORDER BY app_id")
                == [
                    "(cli_a,revoked,config)", "(cli_b,active,)",
                ])
        // Taken back by the file.
        try place.write(installations: [
            place.installation("cli_a", secret: "secret-a"), place.installation("cli_b", secret: "secret-b"),
        ])
        daemon.signal(SIGHUP)
        #expect(await place.connections(2))
        #expect(daemon.events("installation.secret_locked").isEmpty)
        let closed = try await daemon.logged("connection.closed").map { $0["app_id"].string }
        #expect(closed.allSatisfy { $0 == "cli_a" }, "cli_b went on: \(closed)")
        await place.end(daemon)
    }

    @Test("what a command revoked stays so whatever the file says, and what a command made the file leaves alone")
    func origins() async throws {
        let place = try await Place()
        try place.write(installations: [place.installation("cli_a", secret: "secret-a")])
        let daemon = try await place.start()
        #expect(await place.connections(1))
        _ = try await place.command(
            "installation", "add", "cli_b", "--workspace", "acme", "--agent", "sales", "--access", "open", "--domain",
            place.lark, "--secret", "env:SECRET", environment: ["SECRET": "secret-b"])
        #expect(await place.connections(2))
        _ = try await place.command("installation", "revoke", "cli_a")
        #expect(await place.connections(1))
        daemon.signal(SIGHUP)
        let overridden = try #require(try await daemon.logged("installation.overridden").first)
        #expect(overridden["app_id"].string == "cli_a" && overridden["settings"].string == "revoked")
        #expect(overridden["by"].string?.contains("@") == true && overridden["since"].string?.hasSuffix("Z") == true)
        #expect(
            try await place.pool.rows("SELECT app_id, status, origin FROM gateway.installation ORDER BY app_id") == [
                "(cli_a,revoked,config)", "(cli_b,active,command)",
            ])
        #expect(try await place.pool.rows("SELECT name FROM gateway.agent WHERE archived_at IS NOT NULL").isEmpty)
        await place.end(daemon)
    }

    @Test("keys rotate: the old one opens until everything is sealed anew; a missing key names the app and the key")
    func keys() async throws {
        let place = try await Place()
        try place.write()
        var daemon = try await place.start()
        _ = try await place.command(
            "installation", "add", "cli_a", "--workspace", "acme", "--agent", "support", "--domain", place.lark,
            "--secret", "env:SECRET", environment: ["SECRET": "secret-a"])
        #expect(await place.connections(1))
        let old = try await place.pool.rows("SELECT sealed_key_id FROM gateway.installation")[0]
        #expect(await daemon.stop() == 0)

        try place.write(sealing: Self.nextKey)
        daemon = try await place.start()
        #expect(try await daemon.logs("installation.secret_locked"))
        let event = try #require(daemon.events("installation.secret_locked").first)
        #expect(event["app_id"].string == "cli_a")
        #expect(event["reason"].string?.contains(old.dropFirst().dropLast()) == true)
        #expect(try await place.command("installation", "reseal", status: 1).contains("not in sealing.previous"))

        try place.write(sealing: Self.nextKey, previous: Self.key)
        daemon.signal(SIGHUP)
        #expect(await place.connections(1))
        #expect(try await place.command("installation", "reseal").contains("cli_a: sealed with"))
        #expect(try await place.pool.rows("SELECT sealed_key_id FROM gateway.installation")[0] != old)
        // Outside the service systemd's credentials are out of reach: what needs none works, what does says so.
        try place.write(
            installations: [place.installation("cli_b", secret: "credential:lark_app_secret")],
            sealing: "credential:key")
        #expect(try await place.command("status").contains("cli_a"))
        let words = try await place.command(
            "installation", "set-secret", "cli_a", "--secret", "env:SECRET", environment: ["SECRET": "s"], status: 78)
        #expect(words.contains("sealing.key: credential key: no $CREDENTIALS_DIRECTORY"))
        let check = try await place.command("check", status: 1)
        #expect(
            check.contains("FAIL  installations[0].app_secret: credential lark_app_secret: no $CREDENTIALS_DIRECTORY"))
        #expect(check.contains("ok    database: ") && check.contains("skip  cli_b: "), "\(check)")
        try place.write(sealing: Self.nextKey)
        #expect(await daemon.stop() == 0)
        daemon = try await place.start()
        #expect(await place.connections(1))
        #expect(daemon.events("installation.secret_locked").isEmpty)
        await place.end(daemon)
    }
}
