import AsyncRuntime
import Curl
import Foundation
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("How fast messages are sent")
struct SendRatesTests {
    private struct Sent {
        let app: Int64
        let chat: String
        let at: Duration
    }

    /// The most of the instants (ascending) that any period holds.
    private func most(_ times: [Duration], in period: Duration) -> Int {
        var first = 0
        return times.indices.reduce(0) { most, index in
            while times[first] + period <= times[index] { first += 1 }
            return max(most, index - first + 1)
        }
    }

    @Test("however senders ask, no second and no minute has more than its limit, and who waits as told may send")
    func limits() throws {
        for seed in 0..<200 {
            var random = SeededGenerator(seed: UInt64(seed))
            var limits = SendLimits()
            limits.perChatAndSecond = Int.random(in: 1...5, using: &random)
            limits.perAppAndSecond = Int.random(in: 2...20, using: &random)
            limits.perAppAndMinute = Int.random(in: 5...60, using: &random)
            var rates = SendRates(limits)
            let start = ContinuousClock.now
            var now = start
            var sent: [Sent] = []
            for _ in 0..<600 {
                if random.happens(oneIn: 3) { now += .milliseconds(Int.random(in: 0...400, using: &random)) }
                if random.happens(oneIn: 200) { now += .seconds(61) }
                let app = Int64.random(in: 1...2, using: &random)
                let chat = "oc_\(Int.random(in: 1...3, using: &random))"
                let installation = InstallationID(rawValue: app)
                if let next = rates.take(for: installation, to: chat, now) {
                    #expect(next > now)
                    // What a sender does.
                    guard random.happens(oneIn: 4) else { continue }
                    now = next
                    #expect(rates.take(for: installation, to: chat, now) == nil, "seed \(seed): it waited as told")
                }
                sent.append(Sent(app: app, chat: chat, at: start.duration(to: now)))
            }
            for chat in Set(sent.map(\.chat)) {
                let times = sent.filter { $0.chat == chat }.map(\.at)
                #expect(most(times, in: .seconds(1)) <= limits.perChatAndSecond, "seed \(seed)")
            }
            for app in Set(sent.map(\.app)) {
                let times = sent.filter { $0.app == app }.map(\.at)
                #expect(most(times, in: .seconds(1)) <= limits.perAppAndSecond, "seed \(seed)")
                #expect(most(times, in: .seconds(60)) <= limits.perAppAndMinute, "seed \(seed)")
            }
        }
    }

    @Test("an app that the platform holds back sends nothing until then; others go on")
    func held() {
        var rates = SendRates(SendLimits())
        let (one, two) = (InstallationID(rawValue: 1), InstallationID(rawValue: 2))
        let now = ContinuousClock.now
        rates.hold(one, until: now + .seconds(7))
        rates.hold(one, until: now + .seconds(2))
        #expect(rates.take(for: one, to: "oc_1", now) == now + .seconds(7))
        #expect(rates.take(for: two, to: "oc_1", now) == nil)
        #expect(rates.held(now).installations == [one])
        #expect(rates.held(now).until == now + .seconds(7))
        #expect(rates.held(now + .seconds(7)).installations.isEmpty)
        #expect(rates.take(for: one, to: "oc_1", now + .seconds(7)) == nil)
    }

    @Test("what would wait for longer than a few seconds comes again instead of holding others up")
    func heldBack() async throws {
        let pacer = SendPacer(SendLimits())
        let installation = InstallationID(rawValue: 1)
        pacer.hold(installation, for: .seconds(60))
        await #expect(throws: SendPacer.HeldBack.self) { try await pacer.pace(installation, to: "oc_1") }
        try await pacer.pace(InstallationID(rawValue: 2), to: "oc_1")
        let waiting = Task {
            let short = SendPacer(SendLimits())
            short.hold(installation, for: .seconds(4))
            try await short.pace(installation, to: "oc_1")
        }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }
}
