import AsyncRuntime
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("Models: silence windows")
struct SilenceWindowsModelTests {
    /// The rules, without a heap: every window in one dictionary, looked through each time.
    private struct Model {
        var open: [SessionKey: (first: Int64, due: Int64)] = [:]
        var flushing: Set<SessionKey> = []
        var silence: Int64 = 3_000
        var maxWait: Int64 = 10_000

        mutating func message(_ key: SessionKey, at now: Int64) {
            let first = open[key]?.first ?? now
            open[key] = (first, min(now + silence, first + maxWait))
        }

        mutating func restore(_ key: SessionKey, first: Int64, due: Int64) {
            guard let window = open[key] else { return open[key] = (first, due) }
            if due < window.due { open[key] = (min(first, window.first), due) }
        }

        func due(at now: Int64) -> Set<SessionKey> {
            Set(open.filter { $0.value.due <= now && !flushing.contains($0.key) }.keys)
        }
    }

    @Test(
        "any sequence of messages, time, restores, flushes, takeovers and changes of the times closes what the rules close"
    )
    func windows() async throws {
        try await ModelSeeds.tryAll(5_000) { _, random in
            var windows = SilenceWindows(Batching(silenceWindow: .seconds(3), maxWait: .seconds(10)))
            var model = Model()
            var now: Int64 = 1_000_000
            let keys = (1...6).map { SessionKey(installation: InstallationID(rawValue: $0 % 2), session: $0) }
            for step in 0..<120 {
                switch Int.random(in: 0..<13, using: &random) {
                case 0...4:
                    let key = random.pick(keys)
                    windows.messageStored(in: key, now: .milliseconds(now))
                    model.message(key, at: now)
                case 5...7: now += Int64.random(in: 0...2_500, using: &random)
                case 8:
                    let key = random.pick(keys)
                    let first = now - Int64.random(in: 0...20_000, using: &random)
                    let due = now + Int64.random(in: -5_000...5_000, using: &random)
                    windows.restore(key, first: .milliseconds(first), due: .milliseconds(due))
                    model.restore(key, first: first, due: due)
                case 9:
                    let installation = InstallationID(rawValue: Int64.random(in: 0...1, using: &random))
                    guard random.happens(oneIn: 4) else { break }
                    windows.forget(installation)
                    model.open = model.open.filter { $0.key.installation != installation }
                case 10:
                    guard random.happens(oneIn: 3) else { break }
                    model.silence = Int64.random(in: 100...9_000, using: &random)
                    model.maxWait = model.silence + Int64.random(in: 0...9_000, using: &random)
                    windows.update(
                        Batching(
                            silenceWindow: .milliseconds(model.silence), maxWait: .milliseconds(model.maxWait)))
                default:
                    guard let key = model.flushing.sorted(by: { $0.session < $1.session }).first else { break }
                    windows.flushEnded(key)
                    model.flushing.remove(key)
                }
                let limit = random.happens(oneIn: 3) ? 1 : 100
                let due = model.due(at: now)
                let closed = windows.closeDue(now: .milliseconds(now), limit: limit)
                try Deviation.unless(
                    Set(closed).isSubset(of: due) && closed.count == min(limit, due.count),
                    "step \(step): closed \(closed) of \(due)")
                for key in closed {
                    model.open[key] = nil
                    model.flushing.insert(key)
                }
                try Deviation.unless(windows.count == model.open.count, "step \(step): \(windows.count) open")
                let next = model.open.filter { !model.flushing.contains($0.key) }.map(\.value.due).min()
                let alarm = windows.nextDeadline?.milliseconds
                try Deviation.unless(
                    next.map { due in alarm.map { $0 <= due } ?? false } ?? true,
                    "step \(step): sleeps past \(next ?? 0)")
                if limit == 100 { try Deviation.unless(alarm ?? .max > now, "step \(step): would not sleep at all") }
            }
            let all = Set(windows.closeAll())
            let expected = Set(model.open.keys).subtracting(model.flushing)
            try Deviation.unless(all == expected, "closed \(all) of \(expected) at the stop")
        }
    }

    @Test("an installation that is lost loses its own windows, each once, and no others")
    func forgetting() {
        var windows = SilenceWindows(Batching())
        let installations = (1...300).map { InstallationID(rawValue: $0) }
        for installation in installations {
            for session in 1...10 {
                windows.messageStored(in: SessionKey(installation: installation, session: Int64(session)), now: .zero)
            }
        }
        // As when the database is lost: each of its leases is.
        #expect(installations.map { windows.forget($0) } == Array(repeating: 10, count: 300))
        #expect(windows.count == 0)
        #expect(windows.forget(installations[0]) == 0)
        #expect(windows.closeDue(now: .seconds(60), limit: 10_000).isEmpty)
    }

    /// What was written and flushed, per session, in milliseconds.
    private struct History {
        var lastMessage: [SessionKey: Int64] = [:]
        var firstUncovered: [SessionKey: Int64] = [:]
        var problems: [String] = []
    }

    @Test(
        "I4: however flushes fail, are busy or come too early, every message is covered once things work, and none twice"
    )
    func batcher() async throws {
        try await ModelSeeds.tryAll(3_000) { seed, random in
            let clock = ManualWakeUp()
            let history = Mutex(History())
            let isBroken = Mutex(false)
            let dice = Mutex(SeededGenerator(seed: UInt64(seed) &+ 1 << 32))
            let batcher = RunBatcher(
                Batching(silenceWindow: .seconds(3), maxWait: .seconds(10)), wakeUp: clock
            ) { keys, force in
                let broken = isBroken.withLock { $0 }
                if broken, dice.withLock({ $0.happens(oneIn: 2) }) { throw PostgresUnavailable() }
                let now = clock.now.milliseconds
                return history.withLock { history in
                    keys.reduce(into: [:]) { outcomes, key in
                        if broken, dice.withLock({ $0.happens(oneIn: 4) }) { return outcomes[key] = .busy }
                        if broken, !force, dice.withLock({ $0.happens(oneIn: 4) }) {
                            return outcomes[key] = .notDue(.milliseconds(700))
                        }
                        guard let first = history.firstUncovered.removeValue(forKey: key) else {
                            return history.problems.append("\(key) was flushed and had nothing new")
                        }
                        let last = history.lastMessage[key] ?? 0
                        if !force, now < min(last + 3_000, first + 10_000) {
                            history.problems.append(
                                "\(key) was flushed at \(now), its messages are of \(first)...\(last)")
                        }
                        outcomes[key] = .queued(taskID: nil)
                    }
                }
            }
            func settle() async {
                repeat {
                    while batcher.flushesUnderWay > 0 { await Task.yield() }
                    clock.advance(by: .zero)
                } while batcher.flushesUnderWay > 0
            }
            let keys = (1...5).map { SessionKey(installation: InstallationID(rawValue: 1), session: $0) }
            for _ in 0..<80 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0...4:
                    let key = random.pick(keys)
                    let now = clock.now.milliseconds
                    history.withLock { history in
                        history.lastMessage[key] = now
                        history.firstUncovered[key] = history.firstUncovered[key] ?? now
                    }
                    await batcher.messageStored(in: key)
                case 5...8: clock.advance(by: .milliseconds(Int64.random(in: 0...2_000, using: &random)))
                default: isBroken.withLock { $0.toggle() }
                }
                await settle()
            }
            isBroken.withLock { $0 = false }
            if random.happens(oneIn: 2) {
                await batcher.flushAll()
            } else {
                // The windows' own time, and the longest backoff.
                for _ in 0..<60 {
                    clock.advance(by: .milliseconds(300))
                    await settle()
                }
            }
            let (uncovered, problems) = history.withLock { ($0.firstUncovered, $0.problems) }
            try Deviation.unless(problems.isEmpty, problems.first ?? "")
            try Deviation.unless(uncovered.isEmpty, "never flushed: \(uncovered)")
            try Deviation.unless(batcher.openWindows == 0, "\(batcher.openWindows) windows left")
        }
    }
}

private struct PostgresUnavailable: Error {}
