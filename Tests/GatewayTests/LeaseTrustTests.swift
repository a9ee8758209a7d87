import Testing

@testable import Gateway

@Suite("How long a replica may trust its leases")
struct LeaseTrustTests {
    private let start = ContinuousClock.now
    private let timing = LeaseTiming(ttl: .seconds(90), renewEvery: .seconds(30))

    @Test("leases are renewed every 30 s, counted from before the request")
    func renewals() {
        var trust = LeaseTrust(timing, now: start)
        #expect(trust.renewAt == start + .seconds(30))
        trust.renewed(asked: start + .seconds(31))
        #expect(trust.renewAt == start + .seconds(61))
    }

    @Test("a renewal that fails is tried again in a second; a renewal's time before they end the leases are given up")
    func failures() {
        var trust = LeaseTrust(timing, now: start)
        trust.renewed(asked: start + .seconds(30))
        let isOverEarly = trust.renewalFailed(start + .seconds(62))
        #expect(!isOverEarly)
        #expect(trust.renewAt == start + .seconds(63))
        let isOverAtTheMargin = trust.renewalFailed(start + .seconds(90))
        #expect(!isOverAtTheMargin)
        let isOver = trust.renewalFailed(start + .milliseconds(90_001))
        #expect(isOver)
    }

    @Test("a renewal waits 10 s for its answer, less where the leases end before; when they have ended, 10 s again")
    func timeouts() {
        let trust = LeaseTrust(timing, now: start)
        #expect(trust.timeout(start + .seconds(30)) == .seconds(10))
        #expect(trust.timeout(start + .seconds(86)) == .seconds(4))
        #expect(trust.timeout(start + .milliseconds(89_950)) == .milliseconds(100))
        #expect(trust.timeout(start + .seconds(95)) == .seconds(10))
    }
}
