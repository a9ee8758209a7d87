import Foundation
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("A worker in another language")
struct ExampleWorkerTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../examples/worker.py").standardized.path

    private func start(_ script: String, _ stage: Stage) -> PeerProcess {
        PeerProcess("/usr/bin/python3", [script, stage.url])
    }

    @Test(
        "the example in Python answers bursts, one run each; one that fails says so, and the next run has its messages")
    func python() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        await stage.say("weather in Shanghai")
        await stage.say("and Qingdao")
        let worker = start(Self.script, stage)
        #expect(
            await stage.sent(1).map(\.content) == [#"{"text":"You said: weather in Shanghai, then: and Qingdao"}"#])
        // Its LISTEN wakes it up: it is there all the time.
        await stage.say("thanks")
        #expect(await stage.sent(2).last?.content == #"{"text":"You said: thanks"}"#)
        await worker.stop()

        let broken = try Daemon.file(
            String(contentsOfFile: Self.script, encoding: .utf8)
                .replacingOccurrences(of: #"return "You said: ""#, with: #"raise ValueError("no idea") #"#))
        let failing = start(broken, stage)
        await stage.say("one")
        #expect(await stage.sent(3).last?.content.contains("ValueError") == true)
        await failing.stop()
        let next = start(Self.script, stage)
        await stage.say("two")
        #expect(await stage.sent(4).last?.content == #"{"text":"You said: one, then: two"}"#)
        await next.stop()
        await stage.end(daemon)
    }
}
