import AsyncRuntime
import Foundation
import TestSupport
import Testing

@Suite("What a child process leaves behind")
struct ContainmentTests {
    private static let supervised = {
        var containment = ChildProcess.Containment()
        containment.isSupervised = true
        return containment
    }()

    /// Starts a process that would run for ten minutes, with the command's output open, tells its id, and ends.
    private func script(leavesSession: Bool) throws -> String {
        let pipe = try TemporaryFolder.make("left") + "/pipe"
        return """
            mkfifo \(pipe); \(leavesSession ? "setsid " : "")sh -c 'echo $$ >\(pipe); exec sleep 600' & cat \(pipe)
            """
    }

    private func run(
        _ script: String, _ containment: ChildProcess.Containment = .init(), seconds: Int = 30
    ) async throws -> ChildProcessResult {
        try await ChildProcess.run(
            "/bin/sh", ["-c", script], containment: containment, deadline: .after(.seconds(seconds)))
    }

    private func isRunning(_ pid: pid_t) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return false }
        return !stat[end...].hasPrefix(") Z")
    }

    private func pid(_ result: ChildProcessResult) throws -> pid_t {
        try #require(
            pid_t(String(decoding: result.output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)))
    }

    @Test("S7: in its process group is killed with its end, and its output is kept", arguments: [false, true])
    func group(isSupervised: Bool) async throws {
        let result = try await run(try script(leavesSession: false), isSupervised ? Self.supervised : .init())
        #expect(result.status == 0)
        let left = try pid(result)
        #expect(try await eventually { !self.isRunning(left) })
    }

    @Test("S7: in another session holds nobody; under a supervisor it is killed too, and what that started")
    func session() async throws {
        let free = try await run(try script(leavesSession: true))
        #expect(free.status == 0)
        let survivor = try pid(free)
        kill(survivor, SIGKILL)
        let killed = try await run(try script(leavesSession: true), Self.supervised)
        #expect(killed.status == 0)
        let left = try pid(killed)
        #expect(!isRunning(left))
        let family = try await run(
            "setsid setsid sh -c 'setsid sleep 600 & setsid sleep 600 & echo $$; wait' | head -n 1", Self.supervised)
        let parent = try pid(family)
        #expect(!isRunning(parent))
    }

    @Test("S7: that never stops writing holds nobody either")
    func writer() async throws {
        let child = Mutex<pid_t?>(nil)
        let result = try await ChildProcess.run(
            "/bin/sh", ["-c", "setsid --fork sh -c 'echo $$ >&2; exec yes'; sleep 0.1"],
            deadline: .after(.seconds(30)),
            receivedError: { bytes in
                let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
                child.withLock { $0 = $0 ?? pid_t(text) }
            })
        if let pid = child.withLock({ $0 }) { kill(pid, SIGKILL) }
        #expect(result.status == 0 && result.output.starts(with: Data("y\n".utf8)))
    }

    @Test(
        "a supervised child gives what any other gives: status, output, error output, what can't be run, its deadline")
    func results() async throws {
        let result = try await ChildProcess.run(
            "sh", ["-c", "cat; echo no >&2; exit 3"], environment: ["PATH": "/bin"], input: Data("yes".utf8),
            containment: Self.supervised, deadline: .after(.seconds(30)))
        #expect(result.status == 3)
        #expect(result.output == Data("yes".utf8) && result.errorOutput == Data("no\n".utf8))
        #expect(try await run("kill -9 $$", Self.supervised).status == 137)
        let error = await #expect(throws: SpawnError.self) {
            try await ChildProcess.run(
                "/no/such/program", [], containment: Self.supervised, deadline: .after(.seconds(5)))
        }
        #expect(error?.code == ENOENT)
        await #expect(throws: DeadlineExceeded.self) {
            try await run("trap '' TERM; setsid sleep 600 & sleep 600 & wait; wait", Self.supervised, seconds: 1)
        }
        let began = AsyncEvent()
        let task = Task {
            try await ChildProcess.run(
                "/bin/sleep", ["600"], containment: Self.supervised, deadline: .after(.seconds(30)),
                started: { _ in began.set() })
        }
        await began.wait()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("a command that stops its supervisor is ended all the same, when its time is over")
    func stoppedSupervisor() async throws {
        let folder = try TemporaryFolder.make("stopped")
        await #expect(throws: DeadlineExceeded.self) {
            try await run("echo $$ >\(folder)/pid; kill -STOP $PPID; sleep 600", Self.supervised, seconds: 1)
        }
        let text = try String(contentsOfFile: folder + "/pid", encoding: .utf8)
        let command = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(try await eventually { !self.isRunning(command) })
    }

    @Test("a supervised child has no descriptor but its three, a session of its own, and no signal ignored or blocked")
    func world() async throws {
        let script = """
            ls /proc/self/fd | tr '\\n' ' '; ps -o sid= -p $$ | grep -c "^ *$$\\$"; grep -E '^Sig(Blk|Ign)' /proc/self/status
            """
        let result = try await run(script, Self.supervised)
        let lines = String(decoding: result.output, as: UTF8.self).split(separator: "\n").map(String.init)
        // ls opens the folder as 3.
        #expect(lines.first == "0 1 2 3 1", "\(lines)")
        // 32 and 33 are the C library's own.
        let signals = lines.dropFirst().map {
            UInt64($0.split(separator: "\t").last ?? "", radix: 16).map { $0 & ~(3 << 31) }
        }
        #expect(signals == [0, 0], "\(lines)")
    }

    @Test("dozens of supervised ones at a time end")
    func many() async throws {
        let statuses = try await withThrowingTaskGroup(of: Int32.self) { group in
            for number in 0..<60 {
                group.addTask { try await run("sleep 0.2; exit \(number)", Self.supervised).status }
            }
            return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
        }
        #expect(statuses.count == 60)
    }

    @Test(
        "as root, a supervised child can be another user, with that user's groups alone", .enabled(if: geteuid() == 0))
    func user() async throws {
        var containment = Self.supervised
        let postgres: SystemUser = try #require(SystemUser(named: "postgres"))
        containment.user = postgres
        let result = try await run("id; grep ^Cap[IPEA] /proc/self/status; setsid sleep 600 &", containment)
        let expected = try await ChildProcess.run("id", ["postgres"], deadline: .after(.seconds(20)))
        let output = String(decoding: result.output, as: UTF8.self)
        #expect(output.hasPrefix(String(decoding: expected.output, as: UTF8.self)), "\(output)")
        #expect(output.components(separatedBy: "0000000000000000").count == 5, "no capability is left: \(output)")
        #expect(SystemUser(named: "no-such-user") == nil)
    }
}
