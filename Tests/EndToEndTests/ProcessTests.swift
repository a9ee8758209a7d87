import Foundation
import TestSupport
import Testing

@Suite("What other processes see of the daemon and its worker")
struct ProcessTests {
    private func text(_ path: String) -> String {
        (try? Data(contentsOf: URL(fileURLWithPath: path))).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    @Test(
        "the command line holds the path of the configuration alone, no file is left behind, and an agent's command inherits nothing open"
    )
    func traces() async throws {
        let stage = try await Stage()
        let folder = try TemporaryFolder.make("tmp")
        let path = try Daemon.file(stage.configuration())
        let environment = ["TMPDIR": folder, "TMP": folder, "TEMP": folder]
        let daemon = try Daemon(["run", "--config", path], environment: environment)
        #expect(try await daemon.logs("connection.opened"))
        let worker = try Daemon(
            [
                "worker", "--config", path, "--runtime", "default", "--", "/bin/sh", "-c",
                "cat >/dev/null; exec ls /proc/self/fd",
            ],
            environment: environment)
        #expect(try await worker.logs("worker.started"))
        await stage.say("what is open?")
        // Its input, its two outputs, and the folder that ls reads.
        #expect(await stage.sent(1).first?.content == #"{"text":"0\n1\n2\n3"}"#)

        for (process, command) in [(daemon, ["run"]), (worker, ["worker"])] {
            let id = try #require(process.processID)
            let words = text("/proc/\(id)/cmdline").split(separator: "\0").map(String.init)
            #expect(Array(words.prefix(4)) == [Daemon.executable] + command + ["--config", path])
            #expect(!words.joined(separator: " ").contains(Stage.app.secret))
            // Written and unlinked, or still there: none.
            let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd")) ?? []
            let targets = open.compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/fd/\($0)")
            }
            #expect(targets.count > 3)
            #expect(!targets.contains { $0.hasPrefix(folder) || $0.hasPrefix("/") && $0.hasSuffix(" (deleted)") })
        }
        #expect(await worker.stop() == 0)
        #expect(await daemon.stop() == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        await stage.end()
    }
}
