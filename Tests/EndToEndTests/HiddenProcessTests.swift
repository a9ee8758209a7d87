import AsyncRuntime
import Foundation
import LarkSimulator
import TestSupport
import Testing

/// As a user without rights: root may read everything.
@Suite("S4: what the daemon and the worker know", .enabled(if: geteuid() == 0))
struct HiddenProcessTests {
    private static let user = "postgres"

    /// What a process of the same user can read of that one.
    private func readable(_ pid: pid_t) async throws -> String {
        let script = """
            for file in environ mem maps; do
                dd if=/proc/\(pid)/$file of=/dev/null bs=1 count=0 2>/dev/null && echo $file
            done
            """
        let result = try await ChildProcess.run(
            "/usr/bin/setpriv",
            ["--reuid=\(Self.user)", "--regid=\(Self.user)", "--clear-groups", "/bin/sh", "-c", script],
            deadline: .after(.seconds(20)))
        return String(decoding: result.output, as: UTF8.self)
    }

    private func coreLimit(_ pid: pid_t) throws -> String? {
        try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8).split(separator: "\n")
            .first { $0.hasPrefix("Max core file size") }?.split(separator: " ").suffix(3).joined(separator: " ")
    }

    @Test("can be read by no other process of the same user, nor from a core; the agent's command is as it was")
    func hidden() async throws {
        let stage = try await Stage()
        let daemon = try Daemon.run(stage.configuration(), user: Self.user)
        #expect(try await daemon.logs("connection.opened"), "\(daemon.output)")
        let script = "head -c 1 /proc/$PPID/environ >/dev/null && echo leak; head -c 5 /proc/self/environ; ulimit -c"
        let worker = try Daemon(
            [
                "worker", "--config", try Daemon.file(stage.configuration(), for: Self.user), "--runtime", "default",
                "--",
                "/usr/bin/env", "-i", "A=bcd", "/bin/sh", "-c", script,
            ], user: Self.user)
        #expect(try await worker.logs("worker.started"), "\(worker.output)")
        for process in [daemon, worker] {
            let pid = try #require(process.processID)
            #expect(try await readable(pid) == "")
            #expect(try coreLimit(pid) == "0 0 bytes")
        }
        await stage.say("hello")
        let content = try #require(await stage.sent(1).first).content
        #expect(content.contains("A=bcd") && !content.contains("leak"), "\(content)")
        await stage.end(worker, daemon)
    }

    @Test("while what hides nothing can be read so")
    func control() async throws {
        let own = try await ChildProcess.run(
            "/usr/bin/setpriv",
            [
                "--reuid=\(Self.user)", "--regid=\(Self.user)", "--clear-groups", "/bin/sh", "-c",
                "sleep 600 & head -c 1 /proc/$!/environ >/dev/null && echo environ",
            ], deadline: .after(.seconds(20)))
        #expect(String(decoding: own.output, as: UTF8.self) == "environ\n")
    }
}
