import AsyncRuntime
import Foundation
import Lark
import TestSupport
import Testing

@Suite("gateway-benchmark")
struct BenchmarkTests {
    private func run(_ arguments: [String]) async throws -> ChildProcessResult {
        let executable = (Daemon.executable as NSString).deletingLastPathComponent + "/gateway-benchmark"
        // What it leaves when it is killed ends with the test run.
        let variables = ProcessInfo.processInfo.environment.merging(["TMPDIR": try TemporaryFolder.make("tmp")]) { $1 }
        return try await ChildProcess.run(
            executable, arguments, environment: variables, deadline: .after(.seconds(100)),
            started: { ExitCleanup.addProcess($0) })
    }

    @Test("the report as data names the machine and every measurement asked for")
    func report() async throws {
        let path = try TemporaryFolder.make("report") + "/report.json"
        let result = try await run(["--quick", "--json", path, "decode", "windows"])
        #expect(result.status == 0, "\(String(decoding: result.errorOutput, as: UTF8.self))")
        let json = try #require(JSONValue(parsing: try Data(contentsOf: URL(fileURLWithPath: path))))
        #expect(json["machine"]["settings"]["fsync"].string == "on")
        let results = json["results"].array
        #expect(Set(results.compactMap { $0["name"].string }) == ["decode", "windows"])
        #expect(results.allSatisfy { $0["value"].integer != nil && $0["case"].exists && $0["unit"].exists })
        let timers = results.first { $0["case"].string?.contains("timers armed") == true }
        #expect(timers?["value"].integer == 1, "one timer for all the windows")
    }

    @Test("a measurement that there is not is a usage error that lists those there are")
    func usage() async throws {
        let result = try await run(["speed"])
        #expect(result.status == 2)
        let words = String(decoding: result.errorOutput, as: UTF8.self)
        #expect(words.contains("there is no measurement speed") && words.contains("claim/complete"))
    }
}
