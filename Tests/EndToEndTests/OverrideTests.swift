import AsyncRuntime
import Foundation
import Gateway
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// Number 11 of the operator's list: what a command switched off stays off.
@Suite("Overrides by command")
struct OverrideTests {
    private static let sealing = #", "sealing": {"key": "\#(String(repeating: "ab", count: 32))"}"#

    private func command(
        _ words: String..., path: String, environment: [String: String] = [:], status: Int32 = 0
    ) async throws -> String {
        let command = try Daemon(words + ["--config", path], environment: environment)
        #expect(await command.ended() == status, "\(words): \(command.output)")
        return command.output
    }

    private func reload(_ daemon: Daemon, _ count: Int) async throws {
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.reloaded", count: count), "\(daemon.output.suffix(2000))")
    }

    @Test(
        "an agent of the file that a command sets offline stays so across a reload and a restart, is listed with who and since when, and comes back with a reset, at once"
    )
    func offline() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        func runtime() async throws -> [String] {
            try await stage.rows("SELECT runtime_id, may_mention_all FROM gateway.agent")
        }
        var daemon = try await stage.start(stage.configuration())
        #expect(try await command("agent", "set-offline", "acme/support", path: path) == "done\n")
        _ = try await command("agent", "set-mention-all", "acme/support", "yes", path: path)
        try await reload(daemon, 1)
        #expect(try await runtime() == ["(,t)"])
        let event = try #require(try await daemon.logged("agent.overridden").first)
        #expect(event["level"].string == "info" && event["agent"].string == "acme/support")
        #expect(event["settings"].string == "may_mention_all runtime")
        let user = String(cString: getpwuid(geteuid()).pointee.pw_name)
        #expect(event["by"].string?.hasPrefix("\(user)@") == true)
        #expect(event["since"].string?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)

        #expect(await daemon.stop() == 0)
        daemon = try await stage.start(stage.configuration())
        #expect(try await daemon.logs("agent.overridden"))
        #expect(try await runtime() == ["(,t)"])
        let list = try await command("agent", "list", path: path)
        #expect(
            list.contains(/acme\/support +offline +1 +config +yes .*runtime offline \(file: default\) by \S+@\S+, \d/),
            "\(list)")

        #expect(try await command("agent", "reset", "acme/support", path: path).hasPrefix("done"))
        #expect(try await runtime() == ["(default,f)"])
        #expect(try await command("agent", "reset", "acme/support", path: path).contains("no command has said"))
        #expect(try await command("agent", "reset", "acme/nobody", path: path, status: 1) == "no agent acme/nobody\n")
        try await reload(daemon, 1)
        #expect(daemon.events("agent.overridden").count == 1, "nothing is hidden any more")
        // What the file says is no name for a runtime.
        #expect(
            try await command("agent", "set-runtime", "acme/support", "", path: path, status: 2).contains(
                "needs a name"))
        await stage.end(daemon)
    }

    @Test("an agent that a command archives stays so, and one that the file dropped stays when a command restores it")
    func archived() async throws {
        let stage = try await Stage()
        func configuration(_ agents: String) -> String {
            #"{"database_url": "\#(stage.url)", "agents": [\#(agents)], "installations": [], "metrics": {"listen": null}}"#
        }
        let named = #"{"workspace": "acme", "name": "support"}, {"workspace": "acme", "name": "sales"}"#
        let path = try Daemon.file(configuration(named))
        let daemon = try Daemon(["run", "--config", path])
        #expect(try await daemon.logs("gateway.started"), "\(daemon.output)")
        func archived() async throws -> [String] {
            try await stage.rows("SELECT name, archived_by FROM gateway.agent ORDER BY name")
        }
        _ = try await command("agent", "archive", "acme/support", path: path)
        try await reload(daemon, 1)
        #expect(try await archived() == ["(sales,)", "(support,command)"])
        try configuration("").write(toFile: path, atomically: true, encoding: .utf8)
        try await reload(daemon, 2)
        #expect(try await archived() == ["(sales,config)", "(support,command)"])
        _ = try await command("agent", "restore", "acme/sales", path: path)
        try await reload(daemon, 3)
        #expect(try await archived() == ["(sales,)", "(support,command)"])
        #expect(
            try await daemon.logged("agent.overridden", count: 2).contains {
                $0["agent"].string == "acme/sales" && $0["settings"].string == "archived"
            })
        #expect(try await command("agent", "list", path: path).contains(/acme\/sales .*not archived by \S+@/))
        _ = try await command("agent", "reset", "acme/sales", path: path)
        _ = try await command("agent", "reset", "acme/support", path: path)
        #expect(try await archived() == ["(sales,config)", "(support,config)"])
        await stage.end(daemon)
    }

    @Test(
        "a secret that a command gives to a bot of the file counts, also after a restart, until a reset; revoked and restored are the same"
    )
    func secret() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration(extra: Self.sealing)
        let path = try Daemon.file(configuration)
        var daemon = try await stage.start(configuration)
        func connections(_ count: Int) async -> Bool {
            await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == count }
        }
        let said = try await command(
            "installation", "set-secret", "cli_test", "--secret", "env:S", path: path, environment: ["S": "wrong"])
        #expect(said.contains("counts before the secret in the configuration file, until: installation reset cli_test"))
        #expect(try await daemon.logs("installation.refused"))
        #expect(await connections(0))
        #expect(await daemon.stop() == 0)
        daemon = try Daemon.run(configuration)
        #expect(try await daemon.logs("installation.refused"), "\(daemon.output)")
        let event = try #require(try await daemon.logged("installation.overridden").first)
        #expect(event["app_id"].string == "cli_test" && event["settings"].string == "app_secret")
        let list = try await command("installation", "list", path: path)
        #expect(list.contains(/cli_test .*sealed with [0-9a-f]{8} +secret by \S+@/), "\(list)")
        let elsewhere = try await command(
            "installation", "set-secret", "cli_test", "--secret", "env:S", "--domain", "lark", path: path,
            environment: ["S": "s"], status: 2)
        #expect(elsewhere.contains("the domain of cli_test stands in the configuration file"))

        #expect(try await command("installation", "reset", "cli_test", path: path).hasPrefix("done"))
        #expect(await connections(1))
        #expect(try await stage.rows("SELECT sealed_secret IS NULL FROM gateway.installation") == ["(t)"])

        _ = try await command("installation", "revoke", "cli_test", path: path)
        #expect(await connections(0))
        try await reload(daemon, 1)
        #expect(try await stage.rows("SELECT status FROM gateway.installation") == ["(revoked)"])
        #expect(try await command("installation", "list", path: path).contains(/revoked by \S+@\S+, \d/))
        _ = try await command("installation", "reset", "cli_test", path: path)
        #expect(await connections(1))
        #expect(
            try await command("installation", "reset", "cli_other", path: path, status: 1).contains("no installation"))
        await stage.end(daemon)
    }

    @Test(
        "a bot of the file whose given secret is sealed with a key that the gateway lacks is not connected with the file's"
    )
    func lockedSecret() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration()
        let daemon = try await stage.start(configuration)
        let path = try Daemon.file(stage.configuration(extra: Self.sealing))
        _ = try await command(
            "installation", "set-secret", "cli_test", "--secret", "env:S", path: path,
            environment: ["S": Stage.app.secret])
        #expect(try await daemon.logs("installation.secret_locked"))
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 0 })
        _ = try await command("installation", "reset", "cli_test", path: path)
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 1 })
        await stage.end(daemon)
    }

    @Test("who overrides is noted in 200 letters at most, and nothing of it moves a terminal")
    func boundedNames() async throws {
        let stage = try await Stage()
        let path = try Daemon.file(stage.configuration())
        let daemon = try await stage.start(stage.configuration())
        let hostile = "\u{1B}[2J" + String(repeating: "e", count: 5_000)
        // As root, the name before sudo is part of it.
        _ = try await command(
            "agent", "set-offline", "acme/support", path: path, environment: ["SUDO_USER": hostile])
        #expect(
            try await stage.rows("SELECT length(made_by) <= 200 FROM gateway.agent_override") == ["(t)"])
        #expect(try await !command("agent", "list", path: path).contains("\u{1B}"))
        await stage.end(daemon)
    }

    @Test(
        "number 20: what an administrator does by command is a line of the running gateway's log, never a code; a notification without a row is none"
    )
    func commandLog() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration(access: "pairing")
        let path = try Daemon.file(configuration)
        let daemon = try await stage.start(configuration)
        await stage.say("let me in")
        let prompt = try #require(await stage.sent(1).first?.content)
        let code = String(try #require(prompt.firstMatch(of: /([0-9A-Z]{4}-){3}[0-9A-Z]{4}/)).0)
        try await stage.pool.run("NOTIFY gateway_command, 'forged'")
        _ = try await command("agent", "list", path: path)
        _ = try await command("agent", "set-runtime", "acme/support", "other", path: path)
        _ = try await command("agent", "archive", "acme/nobody", path: path, status: 1)
        _ = try await command("member", "approve", code, "--name", "Ann", "--yes", path: path)
        _ = try await command("installation", "revoke", "cli_test", path: path)
        let lines = try await daemon.logged("command.done", count: 3)
        #expect(
            lines.map { "\($0["command"].string ?? "") \($0["subject"].string ?? "")" } == [
                "agent set-runtime acme/support other", "member approve ou_1 as acme/Ann",
                "installation revoke cli_test",
            ])
        #expect(lines.allSatisfy { $0["by"].string?.contains("@") == true && $0["level"].string == "info" })
        #expect(!daemon.output.contains(code))
        // What is over 90 days old goes with the next command.
        try await stage.pool.run("UPDATE gateway.command_log SET done_at = now() - interval '91 days'")
        _ = try await command("installation", "restore", "cli_test", path: path)
        #expect(try await daemon.logged("command.done", count: 4).last?["command"].string == "installation restore")
        #expect(try await stage.rows("SELECT count(*) FROM gateway.command_log") == ["(1)"])
        await stage.end(daemon)
    }
}
