import AsyncRuntime
import Foundation
import Testing

@testable import Lark

@Suite("When to connect again")
struct ReconnectPolicyTests {
    private var random = SeededGenerator(seed: 6)

    private func config(_ text: String) throws -> ClientConfig {
        var config = ClientConfig()
        config.takeOver(try #require(JSONValue(parsing: text)))
        return config
    }

    /// The longest of many waits after `prepare`.
    private mutating func longest(
        _ next: (inout ReconnectPolicy, inout SeededGenerator) -> Duration,
        after prepare: (inout ReconnectPolicy) -> Void
    ) -> Duration {
        (0..<300).map { _ in
            var policy = ReconnectPolicy()
            prepare(&policy)
            return next(&policy, &random)
        }.max() ?? .zero
    }

    @Test("failures back off with full jitter from 2 s to 60 s")
    mutating func backoff() {
        for (failures, bound) in [(0, 2), (1, 4), (4, 32), (5, 60), (20, 60)] {
            let longest = longest(
                { $0.failed(busy: nil, using: &$1) },
                after: { policy in
                    var random = SeededGenerator(seed: 1)
                    for _ in 0..<failures { _ = policy.failed(busy: nil, using: &random) }
                })
            #expect(longest <= .seconds(bound))
            #expect(longest > .seconds(bound) * 0.9)
        }
    }

    @Test("a cut is normal: the next attempt comes within 2 s, and within ReconnectNonce")
    mutating func cuts() throws {
        let short = try config(#"{"ReconnectNonce": 1}"#)
        for (nonce, bound) in [(ClientConfig(), 2), (short, 1)] {
            let longest = longest(
                { $0.ended(isNormal: true, lived: .zero, using: &$1) },
                after: { policy in
                    var random = SeededGenerator(seed: 1)
                    for _ in 0..<9 { _ = policy.failed(busy: nil, using: &random) }
                    policy.learn(nonce)
                })
            #expect(longest <= .seconds(bound))
            #expect(longest > .seconds(bound) * 0.9)
        }
    }

    @Test("a connection that breaks begins the waits again only after 60 s of health")
    mutating func health() {
        for (lived, bound) in [(59, 8), (60, 2)] {
            let longest = longest(
                { $0.ended(isNormal: false, lived: .seconds(lived), using: &$1) },
                after: { policy in
                    var random = SeededGenerator(seed: 1)
                    for _ in 0..<2 { _ = policy.failed(busy: nil, using: &random) }
                })
            #expect(longest <= .seconds(bound))
            #expect(longest > .seconds(bound) * 0.9)
        }
    }

    @Test("busy waits as the platform asks, and ReconnectCount ends the haste; what needs a person is slow")
    mutating func platform() throws {
        var policy = ReconnectPolicy()
        let busy = ConnectFailure.Busy(interval: .seconds(120))
        let longest = longest({ $0.failed(busy: busy, using: &$1) }, after: { _ in })
        #expect(longest <= .seconds(120) && longest > .seconds(100))
        policy.learn(try config(#"{"ReconnectCount": 3}"#))
        for _ in 0..<2 { #expect(policy.failed(busy: nil, using: &random) <= .seconds(4)) }
        #expect(policy.failed(busy: nil, using: &random) == ReconnectPolicy.slowRetry)
        policy.connected()
        #expect(policy.failed(busy: nil, using: &random) <= .seconds(16))
        #expect(policy.refused() == .seconds(300))
    }

    @Test("busy without an interval waits as long as the platform asked before, and backs off where it never did")
    mutating func busyWithoutInterval() throws {
        let body = Data(#"{"code":1,"msg":"system busy"}"#.utf8)
        let origin = EndpointOrigin(
            domain: try #require(URL(string: "https://h")), address: nil, isInsecureAllowed: false)
        let failure = #expect(throws: ConnectFailure.self) {
            try EndpointBootstrap.read(status: 200, body: body, from: origin)
        }
        guard case .retryable(_, let busy?) = failure else { return #expect(Bool(false)) }
        let learned = try config(#"{"ReconnectInterval": 20}"#)
        // The last bootstrap or pong had none.
        for later in [[], [ClientConfig()]] {
            let known = longest(
                { $0.failed(busy: busy, using: &$1) },
                after: { policy in for config in [learned] + later { policy.learn(config) } })
            #expect(known <= .seconds(20) && known > .seconds(18))
        }
        let unknown = longest({ $0.failed(busy: busy, using: &$1) }, after: { _ in })
        #expect(unknown <= .seconds(2) && unknown > .seconds(1.8))
        let named = longest(
            { $0.failed(busy: ConnectFailure.Busy(interval: .seconds(7)), using: &$1) },
            after: { $0.learn(learned) })
        #expect(named <= .seconds(7) && named > .seconds(6))
    }

    @Test("a ClientConfig keeps what is missing, zero or nonsense as it was")
    func configuration() throws {
        var config = try config(
            #"{"PingInterval": 7, "ReconnectInterval": 8, "ReconnectNonce": 9, "ReconnectCount": 10}"#)
        #expect(config.pingInterval == .seconds(7))
        #expect(config.reconnectInterval == .seconds(8))
        #expect(config.reconnectNonce == .seconds(9))
        #expect(config.reconnectCount == 10)
        let before = config
        config.takeOver(
            try #require(
                JSONValue(
                    parsing:
                        #"{"PingInterval": 0, "ReconnectInterval": -5, "ReconnectNonce": "x", "ReconnectCount": 0}"#)))
        #expect(config == before)
        config.takeOver(try #require(JSONValue(parsing: #"{"ReconnectCount": -1}"#)))
        #expect(config.reconnectCount == nil)
    }

    @Test("cuts every 30 s are the platform's habit; more of them are said once an hour")
    func rate() {
        var rate = EndRate()
        for index in 0..<200 { #expect(rate.ended(now: .seconds(30 * index)) == nil) }
        var fast = EndRate()
        let told = (0..<720).compactMap { fast.ended(now: .seconds(10 * $0)) }
        #expect(told == [31, 60])
    }
}
