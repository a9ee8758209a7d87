import AsyncRuntime
import Curl
import Foundation
import TestSupport
import Testing

@testable import Gateway
@testable import Store

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

    @Test("a row that is claimed again while it is being sent is not begun twice, and its app keeps its share")
    func sameRow() {
        let rows = RowsUnderWay(most: 64)
        let before = rows.plan(held())
        for _ in 0..<100 {
            let row = row(one)
            #expect(rows.begin(row, held()))
            #expect(!rows.begin(row, held()))
            rows.end(row)
        }
        #expect(rows.plan(held()).limit == before.limit)
        #expect(rows.plan(held()).held == before.held)
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
