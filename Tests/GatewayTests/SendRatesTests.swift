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
                let purpose: SendRates.Purpose = random.happens(oneIn: 2) ? .reply : .notice
                switch rates.take(for: installation, to: chat, as: purpose, now) {
                case .taken: break
                case .wait(let next), .shareIsUsed(let next):
                    #expect(next > now)
                    // What a sender does.
                    guard random.happens(oneIn: 4) else { continue }
                    now = next
                    #expect(
                        rates.take(for: installation, to: chat, as: purpose, now) == .taken,
                        "seed \(seed): it waited as told")
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

    @Test(
        "limits change at any time: no message goes beyond the limit in force, whatever was sent before, and who waits as told may send"
    )
    func otherLimits() throws {
        for seed in 0..<300 {
            var random = SeededGenerator(seed: UInt64(seed))
            func randomLimits() -> SendLimits {
                var limits = SendLimits()
                limits.perChatAndSecond = Int.random(in: 1...8, using: &random)
                limits.perAppAndSecond = Int.random(in: 1...20, using: &random)
                limits.perAppAndMinute = Int.random(in: 1...60, using: &random)
                return limits
            }
            var limits = randomLimits()
            var rates = SendRates(limits)
            let start = ContinuousClock.now
            var now = start
            var sent: [Sent] = []
            func isWithin(_ limit: Int, _ period: Duration, _ count: (Sent) -> Bool) -> Bool {
                sent.count { count($0) && $0.at + period > start.duration(to: now) } <= limit
            }
            for _ in 0..<400 {
                if random.happens(oneIn: 3) { now += .milliseconds(Int.random(in: 0...300, using: &random)) }
                if random.happens(oneIn: 20) {
                    limits = randomLimits()
                    rates.update(limits, now)
                }
                let app = Int64.random(in: 1...2, using: &random)
                let chat = "oc_\(Int.random(in: 1...3, using: &random))"
                let installation = InstallationID(rawValue: app)
                if case .wait(let next) = rates.take(for: installation, to: chat, now) {
                    #expect(next > now && next <= now + .seconds(60))
                    guard random.happens(oneIn: 4) else { continue }
                    now = next
                    #expect(rates.take(for: installation, to: chat, now) == .taken, "seed \(seed): it waited as told")
                }
                sent.append(Sent(app: app, chat: chat, at: start.duration(to: now)))
                #expect(isWithin(limits.perChatAndSecond, .seconds(1)) { $0.chat == chat }, "seed \(seed)")
                #expect(isWithin(limits.perAppAndSecond, .seconds(1)) { $0.app == app }, "seed \(seed)")
                #expect(isWithin(limits.perAppAndMinute, .seconds(60)) { $0.app == app }, "seed \(seed)")
            }
        }
    }

    @Test("a limit that is lowered counts what was sent, and one that is raised lets the difference through at once")
    func loweredAndRaised() {
        var limits = SendLimits()
        limits.perChatAndSecond = 10
        var rates = SendRates(limits)
        let app = InstallationID(rawValue: 1)
        let now = ContinuousClock.now
        func takeAll(at now: ContinuousClock.Instant) -> Int {
            (0..<100).count { _ in rates.take(for: app, to: "oc_1", now) == .taken }
        }
        #expect(takeAll(at: now) == 10)
        limits.perChatAndSecond = 3
        rates.update(limits, now + .milliseconds(400))
        #expect(takeAll(at: now + .milliseconds(999)) == 0)
        limits.perChatAndSecond = 12
        rates.update(limits, now + .milliseconds(999))
        #expect(takeAll(at: now + .milliseconds(999)) == 2, "all ten of before are remembered")
        #expect(takeAll(at: now + .milliseconds(1_000)) == 10)
    }

    @Test("S27: four chats of /help, as fast as they may, leave room for everybody's replies at any time")
    func noticesLeaveRoom() {
        var rates = SendRates(SendLimits())
        let app = InstallationID(rawValue: 1)
        let start = ContinuousClock.now
        var notices: [Duration] = []
        for tick in 0..<1_800 {
            let now = start + .milliseconds(100 * tick)
            for chat in 0..<4 where rates.take(for: app, to: "oc_\(chat)", as: .notice, now) == .taken {
                notices.append(start.duration(to: now))
            }
            // Two people are answered each second.
            guard tick % 5 == 0 else { continue }
            #expect(rates.take(for: app, to: "oc_calm_\(tick)", now) == .taken, "after \(tick / 10) s")
        }
        #expect(most(notices, in: .seconds(60)) == 750, "three quarters of the app's minute")
        #expect(notices.count >= 2_250, "and that in each of the minutes")
    }

    @Test("what is over the share of notices is held back, and no place waits for it; a reply goes out")
    func noticesHeldBack() async throws {
        var limits = SendLimits()
        limits.perAppAndMinute = 4
        let pacer = SendPacer(limits)
        let app = InstallationID(rawValue: 1)
        for chat in 0..<3 { try await pacer.pace(app, to: "oc_\(chat)", as: .notice) }
        await #expect(throws: SendPacer.HeldBack.self) { try await pacer.pace(app, to: "oc_3", as: .notice) }
        #expect(pacer.held().installations.isEmpty, "replies of the app are still taken from the outbox")
        try await pacer.pace(app, to: "oc_4", as: .reply)
    }

    @Test("an app that the platform holds back sends nothing until then; others go on")
    func held() {
        var rates = SendRates(SendLimits())
        let (one, two) = (InstallationID(rawValue: 1), InstallationID(rawValue: 2))
        let now = ContinuousClock.now
        rates.hold(one, until: now + .seconds(7))
        rates.hold(one, until: now + .seconds(2))
        #expect(rates.take(for: one, to: "oc_1", now) == .wait(until: now + .seconds(7)))
        #expect(rates.take(for: two, to: "oc_1", now) == .taken)
        #expect(rates.held(now).installations == [one])
        #expect(rates.held(now).until == now + .seconds(7))
        #expect(rates.held(now + .seconds(7)).installations.isEmpty)
        #expect(rates.take(for: one, to: "oc_1", now + .seconds(7)) == .taken)
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
