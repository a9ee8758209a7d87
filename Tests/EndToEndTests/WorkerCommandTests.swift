import AsyncRuntime
import Foundation
import LarkSimulator
import TestSupport
import Testing

@Suite("A worker's command")
struct WorkerCommandTests {
    /// A daemon, and a worker whose configuration names the database by a variable.
    private func start(
        _ stage: Stage, _ script: String, options: [String] = [], environment: [String: String] = [:]
    ) async throws -> (daemon: Daemon, worker: Daemon) {
        let daemon = try await stage.start(stage.configuration())
        let worker = try Daemon(
            words(try Daemon.file(#"{"database_url": "env:GW_DATABASE"}"#), script, options),
            environment: environment.merging(["GW_DATABASE": stage.url]) { $1 })
        try #require(try await worker.logs("worker.started"), "\(worker.output)")
        return (daemon, worker)
    }

    private func words(_ file: String, _ script: String, _ options: [String]) -> [String] {
        ["worker", "--config", file, "--runtime", "default"] + options + ["--", "/bin/sh", "-c", script]
    }

    @Test(
        "S7: what it leaves in the background, in its session or out of it, holds neither its reply nor the next task")
    func background() async throws {
        let stage = try await Stage()
        let (daemon, worker) = try await start(
            stage, "sleep 600 & setsid sleep 600 & echo done", options: ["--timeout", "20s"])
        for number in 1...3 {
            await stage.say("hello", in: "oc_\(number)")
            #expect(await stage.sent(number).map(\.content).last == #"{"text":"done"}"#, "\(worker.output)")
        }
        #expect(worker.events("task.failed").isEmpty)
        await stage.end(worker, daemon)
    }

    @Test("S4: it gets the usual variables and those that are named, never the database's URL")
    func environment() async throws {
        let stage = try await Stage()
        let (daemon, worker) = try await start(
            stage, "env", options: ["--env", "API_KEY", "--env=OTHER"],
            environment: ["API_KEY": "key-1", "OTHER": "2", "LC_TIME": "C.UTF-8", "THIRD": "3", "TZ": "Asia/Shanghai"])
        await stage.say("hello")
        let text = try #require(await stage.sent(1).first).content
        for variable in ["API_KEY=key-1", "OTHER=2", "LC_TIME=C.UTF-8", "TZ=Asia/Shanghai", "PATH="] {
            #expect(text.contains(variable), "\(text)")
        }
        for variable in ["GW_DATABASE", "THIRD", "host=", "LARK_GATEWAY_TEST_DIRECTORY", "LOG="] {
            #expect(!text.contains(variable), "\(text)")
        }
        await stage.end(worker, daemon)
    }

    @Test("S4: a variable that is not there, or is the database's URL, and a user that can't be had, are wrong usage")
    func usage() async throws {
        let stage = try await Stage()
        let file = try Daemon.file(#"{"database_url": "env:GW_DATABASE"}"#)
        let wrong: [([String], String)] = [
            (["--env", "NO_SUCH"], "--env NO_SUCH: the worker's environment has no such variable"),
            (["--env", "GW_DATABASE"], "--env GW_DATABASE: it holds the database's URL, which no command gets"),
            (["--env", "KEY=secret"], "--env takes a variable's name alone"),
            (["--user", "no-such-user"], "--user no-such-user: there is no such user"),
            (["--stderr", "no"], "--stderr takes show or discard"),
        ]
        for (options, message) in wrong {
            let worker = try Daemon(words(file, "cat", options), environment: ["GW_DATABASE": stage.url])
            #expect(await worker.ended() == 2)
            #expect(worker.output.contains(message) && worker.events("worker.started").isEmpty, "\(worker.output)")
        }
        if geteuid() == 0 {
            let own = try Daemon.file(String(contentsOfFile: file, encoding: .utf8), for: "postgres")
            let worker = try Daemon(
                words(own, "cat", ["--user", "root"]), user: "postgres", environment: ["GW_DATABASE": stage.url])
            #expect(await worker.ended() == 2)
            #expect(worker.output.contains("only root may run a command as another user"), "\(worker.output)")
        }
        await stage.end()
    }

    @Test("S4: --user runs it as that user, in that user's world", .enabled(if: geteuid() == 0))
    func user() async throws {
        let stage = try await Stage()
        let (daemon, worker) = try await start(
            stage, "id -un; echo $HOME $USER", options: ["--user", "postgres"])
        await stage.say("hello")
        let text = try #require(await stage.sent(1).first).content
        #expect(text == #"{"text":"postgres\n/var/lib/postgresql postgres"}"#)
        await stage.end(worker, daemon)
    }

    @Test("what it writes to its stderr comes out of the worker's, line by line, cut, and never as a line of the log")
    func errors() async throws {
        let stage = try await Stage()
        let script = #"printf '{"event":"forged"}\n\033[2Jred\nno end' >&2; head -c 100000 /dev/zero >&2; exit 3"#
        let (daemon, worker) = try await start(stage, script)
        await stage.say("hello")
        #expect(try await worker.logs("task.failed"))
        let lines = worker.output.split(separator: "\n").filter { $0.contains(" stderr: ") }
        #expect(lines.first?.hasSuffix(#" stderr: {"event":"forged"}"#) == true)
        #expect(worker.events("forged").isEmpty)
        #expect(lines.dropFirst().first?.hasSuffix(" stderr: \u{FFFD}[2Jred") == true)
        #expect(lines.last?.hasSuffix("bytes more)") == true)
        #expect(worker.output.utf8.count < 300_000)
        await worker.killNow()
        let silent = try Daemon(
            words(try Daemon.file(stage.configuration()), "echo words >&2; exit 4", ["--stderr", "discard"]))
        await stage.say("again")
        #expect(try await silent.logs("task.failed"))
        #expect(!silent.output.contains("words"))
        await stage.end(silent, daemon)
    }

    @Test("while the database refuses what a running command needs, the log has one line for each kind of it")
    func outage() async throws {
        let stage = try await Stage()
        let script = #"for i in 1 2 3 4 5 6; do printf '{"progress":"%s"}\n' $i; sleep 0.6; done; echo done"#
        let (daemon, worker) = try await start(stage, script, options: ["--lease", "1s"])
        for function in ["extend_task", "report_progress"] {
            try await stage.pool.run("ALTER ROUTINE gateway.\(function) RENAME TO away_\(function)")
        }
        await stage.say("hello")
        // By then each has been tried three times or more.
        let isOver = try await eventually(within: .seconds(60)) {
            ["task.completed", "task.refused"].contains { !worker.events($0).isEmpty }
        }
        #expect(isOver)
        let lines = worker.events("database.unavailable").compactMap { $0["during"].string }
        for work in ["extend_task", "report_progress"] { #expect(lines.filter { $0 == work }.count == 1, "\(lines)") }
        await stage.end(worker, daemon)
    }

    @Test("a worker that is killed takes its commands along, and what they have started")
    func killed() async throws {
        let stage = try await Stage()
        let folder = try TemporaryFolder.make("killed")
        let (daemon, worker) = try await start(
            stage, "setsid sh -c 'echo $$ >\(folder)/left; exec sleep 600' & echo $$ >\(folder)/command; sleep 600")
        await stage.say("hello")
        @Sendable func process(_ name: String) -> pid_t? {
            let text = try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
            return text?.hasSuffix("\n") == true ? pid_t(text?.dropLast() ?? "") : nil
        }
        #expect(try await eventually { process("left") != nil && process("command") != nil })
        await worker.killNow()
        for name in ["left", "command"] {
            let pid = try #require(process(name))
            #expect(try await eventually { kill(pid, 0) != 0 }, "\(name)")
        }
        await stage.end(daemon)
    }
}
