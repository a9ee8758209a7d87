import AsyncRuntime
import Curl
import Foundation
import TestSupport
import Testing

@testable import Gateway

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

@Suite("Apps that the platform does not answer")
struct SilentAppsTests {
    private let one = InstallationID(rawValue: 1)
    private let two = InstallationID(rawValue: 2)
    private let start = ContinuousClock.now

    @Test("an app waits twice as long each time, a minute at the most, and not at all once it is answered")
    func backoff() {
        var silent = SilentApps()
        var now = start
        var waits: [Duration] = []
        for _ in 0..<8 {
            silent.unanswered(one, since: now, now + .seconds(10))
            now += .seconds(10)
            let until = silent.heldUntil(one, now) ?? now
            waits.append(now.duration(to: until))
            #expect(silent.all(now).held == [one: until] && silent.all(now).probing.isEmpty)
            now = until
            #expect(silent.heldUntil(one, now) == nil && silent.all(now).probing == [one])
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
        #expect(!silent.isSilent(two))
        silent.answered(one, now)
        #expect(!silent.isSilent(one))
        silent.unanswered(one, since: now, now + .seconds(10))
        #expect(silent.heldUntil(one, now + .seconds(10)) == now + .seconds(11))
    }

    @Test("what was sent at the same time counts once")
    func once() {
        var silent = SilentApps()
        for index in 0..<30 {
            silent.unanswered(one, since: start + .milliseconds(index), start + .milliseconds(10_000 + index))
        }
        #expect(silent.heldUntil(one, start + .milliseconds(10_001)) == start + .seconds(11))
    }

    @Test("a single slow message, while others are answered, holds nobody back")
    func slow() {
        var silent = SilentApps()
        silent.answered(one, start + .seconds(9))
        silent.unanswered(one, since: start, start + .seconds(10))
        #expect(!silent.isSilent(one))
    }

    private func row(_ app: InstallationID) -> OutboxRow {
        OutboxRow(
            lease: Lease(installation: app, generation: 1), session: nil, id: UUID(), kind: "reply",
            receiver: .chat("oc"), chatID: nil, payload: "{}", attempts: 1, locale: "en", agent: "support")
    }

    private func held(_ probing: InstallationID...) -> SendPacer.Held {
        SendPacer.Held(installations: [], wait: nil, probing: Set(probing))
    }

    @Test("an app alone has half of what may be under way, and a second one finds room at once")
    func rowsUnderWay() {
        let rows = RowsUnderWay(most: 64)
        var taken: [OutboxRow] = []
        while true {
            let plan = rows.plan(held())
            if plan.held.contains(one) { break }
            for _ in 0..<plan.limit {
                let row = row(one)
                #expect(rows.begin(row, held()))
                taken.append(row)
            }
        }
        #expect((16...32).contains(taken.count), "\(taken.count)")
        #expect(rows.plan(held()).limit >= 8)
        #expect(rows.begin(row(two), held()))
        for row in taken { rows.end(row) }
        #expect(rows.plan(held()).held.isEmpty)
        #expect(rows.ids.count == 1)
    }

    @Test("an app that is tried again has one message under way, and others go on")
    func probe() {
        let rows = RowsUnderWay(most: 64)
        let probe = row(one)
        #expect(!rows.plan(held(one)).held.contains(one))
        #expect(rows.begin(probe, held(one)))
        #expect(!rows.begin(row(one), held(one)))
        #expect(rows.begin(row(two), held(one)))
        #expect(rows.plan(held(one)).held == [one])
        rows.end(probe)
        #expect(rows.plan(held(one)).held.isEmpty)
    }

    @Test("that a domain does not answer is said once, after three failures in a row, and that it does again once")
    func outageLines() {
        let recorder = LogRecorder()
        let log = PlatformLog(logger: recorder.logger)
        struct Silence: Error {}
        var now = start
        func ended(_ domain: String, after duration: Duration = .zero, answered: Bool) {
            now += .milliseconds(1)
            let failure = answered ? nil : Silence()
            log.ended(HTTPExchange.Outcome(domain: domain, began: now - duration, failure: failure), now)
        }
        for _ in 0..<2 { ended("https://a", answered: false) }
        ended("https://a", answered: true)
        for _ in 0..<10 {
            ended("https://a", answered: false)
            ended("https://b", answered: true)
        }
        for _ in 0..<3 { ended("https://a", answered: true) }
        // What began before it answered again.
        for _ in 0..<10 { ended("https://a", after: .seconds(10), answered: false) }
        #expect(recorder.all.map(\.name) == ["platform.unreachable", "platform.recovered"])
        #expect(recorder.all.first?["domain"] == .text("https://a"))
        #expect(recorder.all.last?["failures"] == .integer(10))
    }
}
