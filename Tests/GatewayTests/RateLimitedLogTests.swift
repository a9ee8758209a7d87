import AsyncRuntime
import TestSupport
import Testing

@testable import Gateway

@Suite("What somebody else can have logged without an end")
struct RateLimitedLogTests {
    @Test("S17: ten lines of a name a minute; the next one says how many were left out, and so does the end")
    func bound() {
        let time = Mutex(ContinuousClock.now)
        let recorder = LogRecorder()
        let log = RateLimitedLog(logger: recorder.logger, now: { time.withLock { $0 } })
        func drop(_ count: Int) {
            for number in 0..<count { log.log(.frameDropped(appID: "cli_1", .textMessage(bytes: number))) }
        }
        func leftOut(_ name: String) -> [LogEvent.Value?] { recorder.events(named: name).map { $0["left_out"] } }
        drop(1_000)
        log.log(.frameIgnored(appID: "cli_1", type: "x"))
        #expect(leftOut("frame.dropped") == Array(repeating: nil, count: 10))
        #expect(leftOut("frame.ignored") == [nil], "another event has lines of its own")
        time.withLock { $0 += .seconds(60) }
        drop(1)
        #expect(leftOut("frame.dropped").dropFirst(10) == [.integer(990)])
        drop(15)
        #expect(leftOut("frame.dropped").count == 20)
        log.flush()
        // The sixth of those that were left out is the one that is told.
        #expect(leftOut("frame.dropped").last == .integer(5))
        #expect(recorder.events(named: "frame.dropped").last?["detail"] == .text("14 bytes"))
        log.flush()
        #expect(leftOut("frame.dropped").count == 21)
        #expect(recorder.all.allSatisfy { $0["app_id"] == .text("cli_1") })
    }
}
