import Testing

@testable import Curl

@Suite("Which address is tried first")
struct FailedAddressesTests {
    private let start = ContinuousClock.now

    @Test("one that failed comes last for ten minutes, or until it answers or no other can be had")
    func memory() {
        var failed = FailedAddresses()
        failed.failed("10.0.0.1", of: "h", start)
        failed.failed("10.0.0.2", of: "h", start + .seconds(100))
        #expect(failed.avoided(of: "h", start + .seconds(100)) == ["10.0.0.1", "10.0.0.2"])
        #expect(failed.avoided(of: "other", start).isEmpty)
        #expect(failed.avoided(of: "h", start + .seconds(600)) == ["10.0.0.2"])
        failed.answered("10.0.0.2", of: "h")
        #expect(failed.avoided(of: "h", start) == ["10.0.0.1"])
        failed.forget("h")
        #expect(failed.avoided(of: "h", start).isEmpty)
    }

    @Test("of more hosts than are remembered the oldest failures go, and what is remembered stays bounded")
    func bound() {
        var failed = FailedAddresses()
        for host in 0..<1_000 { failed.failed("a", of: "\(host)", start) }
        #expect(failed.avoided(of: "999", start).isEmpty)
        failed.failed("a", of: "late", start + .seconds(600))
        #expect(failed.avoided(of: "late", start + .seconds(600)) == ["a"])
    }
}
