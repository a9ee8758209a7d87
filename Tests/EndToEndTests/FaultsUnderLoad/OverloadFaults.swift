import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

extension FaultsUnderLoad {
    /// What is sent at a Postgres that answers nothing.
    struct Flood: CustomTestStringConvertible {
        let testDescription: String
        let messages: Int
        let bytesEach: Int
        let waves: Int
    }

    static let floods =
        [Flood(testDescription: "many messages", messages: 30_000, bytesEach: 20, waves: FaultSettings.isFull ? 3 : 1)]
        + (FaultSettings.isFull
            ? [Flood(testDescription: "large messages", messages: 500, bytesEach: 400_000, waves: 3)] : [])

    @Test(
        "while Postgres is slow, what waits is bounded: acks are 500, and memory does not follow the backlog",
        arguments: floods)
    func overload(_ flood: Flood) async throws {
        var timing = LoadedGateway.timing
        timing.ackTimeout = .seconds(20)
        timing.retryDelay = .seconds(10)
        let stage = try await Stage(timing: timing)
        let daemon = try await stage.start(stage.configuration().replacing(#""debug""#, with: #""info""#))
        let other = Pool(url: stage.url, size: 1)
        try await other.run("BEGIN")
        try await other.run("LOCK TABLE gateway.inbound_dedup IN ACCESS EXCLUSIVE MODE")
        let text = String(repeating: "x", count: flood.bytesEach)
        var peaks: [Int] = []
        for wave in 0..<flood.waves {
            for number in 0..<flood.messages { await stage.say(text, in: "oc_\(number % 50)_\(wave)") }
            peaks.append(daemon.peakMemory)
        }
        try await other.run("COMMIT")
        await other.close()
        FaultSettings.report(
            "overload, \(flood.testDescription): peak memory in MiB after each wave: \(peaks.map { $0 >> 20 })")
        #expect(try await daemon.logs("ingest.overloaded"))
        #expect(peaks[peaks.count - 1] < 400 << 20)
        #expect(peaks[peaks.count - 1] - peaks[0] < 100 << 20, "\(peaks)")

        #expect(try await eventually(within: .seconds(300)) { await stage.simulator.unsettledCount == 0 })
        let all = flood.messages * flood.waves
        let stored = "SELECT count(*), count(DISTINCT lark_message_id) FROM gateway.chat_message"
        #expect(try await stage.rows(stored) == ["(\(all),\(all))"])
        #expect(await stage.simulator.deliveryStates.contains { $0.acks.contains(500) })
        #expect(try await stage.metrics(of: daemon).contains(/lark_gateway_ingest_failures_total [1-9]/))
        await stage.end(daemon)
    }
}
