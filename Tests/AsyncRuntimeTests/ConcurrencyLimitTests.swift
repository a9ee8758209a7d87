import TestSupport
import Testing

@testable import AsyncRuntime

@Suite("Shares of a whole")
struct FairSharesTests {
    @Test("one alone gets half, and however many take all that they may, the next one finds something")
    func shares() {
        var shares = FairShares<String>(total: 32)
        var taken: [Int] = []
        for key in ["a", "b", "c", "d", "e"] {
            let room = shares.room(for: key)
            while shares.mayTake(key) { shares.take(key) }
            taken.append(shares.held(by: key))
            #expect(shares.held(by: key) == room)
        }
        #expect(taken == [16, 8, 4, 2, 1])
        shares.giveBack("a")
        #expect(shares.mayTake("e") && !shares.mayTake("a"))
        for _ in 0..<15 { shares.giveBack("a") }
        #expect(!shares.holders.contains("a"))
    }
}

@Suite("Who begins when not all can")
struct SlotBookTests {
    private let start = ContinuousClock.now
    private func caller(_ place: String, _ app: String = "x") -> ConcurrencyLimit.Caller {
        ConcurrencyLimit.Caller(place: place, app: app)
    }

    /// A book that `#expect` may write in.
    private final class Desk {
        private var book: SlotBook

        init(_ rules: ConcurrencyLimit.Rules) {
            book = SlotBook(rules)
        }

        var waitingCount: Int { book.waitingCount }

        func ask(_ ticket: SlotBook.Ticket, _ caller: ConcurrencyLimit.Caller) -> SlotBook.Answer {
            book.ask(ticket, caller)
        }

        func leave(_ ticket: SlotBook.Ticket) -> Bool { book.leave(ticket) }

        func end(
            _ caller: ConcurrencyLimit.Caller, began: ContinuousClock.Instant, _ now: ContinuousClock.Instant,
            succeeded: Bool
        ) -> [SlotBook.Ticket] {
            book.end(caller, began: began, now, succeeded: succeeded)
        }
    }

    private func book(total: Int, perApp: Int, maxWaiting: Int = 1_000) -> Desk {
        Desk(ConcurrencyLimit.Rules(total: total, perApp: perApp, maxWaiting: maxWaiting))
    }

    @Test("apps of a place take turns, and within an app who came first begins first")
    func turns() {
        let book = book(total: 4, perApp: 2)
        #expect(book.ask(1, caller("p", "a")) == .begin)
        #expect(book.ask(2, caller("p", "a")) == .begin)
        for ticket in 3...5 { #expect(book.ask(SlotBook.Ticket(ticket), caller("p", "a")) == .wait) }
        #expect(book.ask(6, caller("p", "b")) == .wait)
        #expect(book.end(caller("p", "a"), began: start, start, succeeded: true) == [3])
        #expect(book.end(caller("p", "a"), began: start, start, succeeded: true) == [6])
        #expect(book.end(caller("p", "b"), began: start, start, succeeded: true) == [4])
    }

    @Test("a place that is silent holds half at the most; when that is known, one slot, until it answers again")
    func silence() {
        let book = book(total: 8, perApp: 8)
        for ticket in 1...6 { _ = book.ask(SlotBook.Ticket(ticket), caller("silent")) }
        #expect(book.waitingCount == 2)
        #expect(book.ask(10, caller("other")) == .begin)
        let later = start + .seconds(10)
        // Two wait; none of them begins while the four that were under way end, until the last one does.
        for _ in 0..<3 { #expect(book.end(caller("silent"), began: start, later, succeeded: false).isEmpty) }
        #expect(book.end(caller("silent"), began: start, later, succeeded: false) == [5])
        #expect(book.ask(11, caller("silent")) == .wait)
        #expect(book.end(caller("silent"), began: later, later + .seconds(1), succeeded: true) == [6, 11])
    }

    @Test("one slow operation among answered ones, and a quick failure, say nothing about a place")
    func noSilence() {
        let book = book(total: 8, perApp: 8)
        for ticket in 1...3 { _ = book.ask(SlotBook.Ticket(ticket), caller("p")) }
        _ = book.end(caller("p"), began: start, start + .seconds(9), succeeded: true)
        _ = book.end(caller("p"), began: start, start + .seconds(10), succeeded: false)
        _ = book.end(caller("p"), began: start + .seconds(10), start + .seconds(11), succeeded: false)
        #expect(book.ask(4, caller("p")) == .begin)
        #expect(book.ask(5, caller("p")) == .begin)
    }

    @Test("however many places are silent, together they hold a quarter, and one that answers is not kept waiting")
    func manySilent() {
        let book = book(total: 16, perApp: 8)
        var ticket: SlotBook.Ticket = 0
        func next() -> SlotBook.Ticket {
            ticket += 1
            return ticket
        }
        let later = start + .seconds(10)
        for place in 0..<100 {
            _ = book.ask(next(), caller("s\(place)"))
            _ = book.end(caller("s\(place)"), began: start, later, succeeded: false)
        }
        let answers = (0..<100).map { book.ask(next(), caller("s\($0)")) }
        #expect(answers.count { $0 == .begin } == 4)
        // Of the twelve slots that are left.
        for _ in 0..<6 { #expect(book.ask(next(), caller("good")) == .begin) }
        #expect(book.end(caller("s0"), began: later, later + .seconds(10), succeeded: false).count == 1)
    }

    @Test("an app that is silent at a place that answers others has one slot")
    func silentApp() {
        let book = book(total: 16, perApp: 4)
        _ = book.ask(1, caller("p", "silent"))
        _ = book.ask(2, caller("p", "good"))
        _ = book.end(caller("p", "good"), began: start, start + .seconds(9), succeeded: true)
        _ = book.end(caller("p", "silent"), began: start, start + .seconds(10), succeeded: false)
        _ = book.ask(3, caller("p", "silent"))
        _ = book.end(caller("p", "silent"), began: start + .seconds(10), start + .seconds(20), succeeded: false)
        // Nobody answered meanwhile: the place is silent too, until somebody does.
        #expect(book.ask(4, caller("p", "good")) == .begin)
        _ = book.end(caller("p", "good"), began: start + .seconds(20), start + .seconds(21), succeeded: true)
        #expect(book.ask(5, caller("p", "silent")) == .begin)
        #expect(book.ask(6, caller("p", "silent")) == .wait)
        for ticket in 7...10 { #expect(book.ask(SlotBook.Ticket(ticket), caller("p", "good")) == .begin) }
    }

    @Test("a waiter that goes away is skipped; so many wait and no more")
    func leaving() {
        let book = book(total: 2, perApp: 1, maxWaiting: 3)
        #expect(book.ask(1, caller("p")) == .begin)
        for ticket in 2...4 { #expect(book.ask(SlotBook.Ticket(ticket), caller("p")) == .wait) }
        #expect(book.ask(5, caller("p")) == .full)
        #expect(book.leave(2))
        #expect(!book.leave(2))
        #expect(!book.leave(1))
        #expect(book.ask(6, caller("p")) == .wait)
        #expect(book.end(caller("p"), began: start, start, succeeded: true) == [3])
        #expect(!book.leave(3), "it may begin")
    }

    @Test("whatever happens, the bounds hold, nobody who may begin waits, and everybody gets a turn")
    func model() {
        for seed in 0..<300 {
            var random = SeededGenerator(seed: UInt64(seed))
            let (total, perApp) = (Int.random(in: 1...12, using: &random), Int.random(in: 1...4, using: &random))
            let book = book(total: total, perApp: perApp)
            var running: [(ticket: SlotBook.Ticket, caller: ConcurrencyLimit.Caller, began: ContinuousClock.Instant)] =
                []
            var waiting: [SlotBook.Ticket: ConcurrencyLimit.Caller] = [:]
            var now = start
            func begin(_ ticket: SlotBook.Ticket, _ caller: ConcurrencyLimit.Caller) {
                let before = waiting.filter { $0.value == caller && $0.key < ticket }
                #expect(before.isEmpty, "seed \(seed): \(ticket) overtook \(before.keys)")
                running.append((ticket, caller, now))
                #expect(running.count <= total, "seed \(seed)")
                #expect(running.count { $0.caller == caller } <= perApp, "seed \(seed)")
                let held = running.count { $0.caller.place == caller.place }
                #expect(held <= (total + 1) / 2, "seed \(seed)")
            }
            func end(succeeded: Bool) {
                let over = running.remove(at: Int.random(in: running.indices, using: &random))
                for ticket in book.end(over.caller, began: over.began, now, succeeded: succeeded) {
                    guard let caller = waiting.removeValue(forKey: ticket) else {
                        Issue.record("seed \(seed): \(ticket) did not wait")
                        continue
                    }
                    begin(ticket, caller)
                }
            }
            for ticket in 1...SlotBook.Ticket(200) {
                now += .milliseconds(Int.random(in: 0...4_000, using: &random))
                let caller = caller(
                    "p\(Int.random(in: 0..<4, using: &random))", "a\(Int.random(in: 0..<3, using: &random))")
                switch book.ask(ticket, caller) {
                case .begin: begin(ticket, caller)
                case .wait: waiting[ticket] = caller
                case .full: Issue.record("seed \(seed): full")
                }
                if Int.random(in: 0..<5, using: &random) == 0, let gone = waiting.keys.min() {
                    waiting[gone] = nil
                    #expect(book.leave(gone))
                }
                while !running.isEmpty, Int.random(in: 0..<2, using: &random) == 0 {
                    end(succeeded: Int.random(in: 0..<2, using: &random) == 0)
                }
                #expect(book.waitingCount == waiting.count)
            }
            while !running.isEmpty { end(succeeded: false) }
            #expect(waiting.isEmpty, "seed \(seed): \(waiting)")
        }
    }
}

@Suite("Waiting for a turn")
struct ConcurrencyLimitTests {
    private static let caller = ConcurrencyLimit.Caller(place: "p", app: "a")

    /// All slots that the caller may have are in use until `release` is set.
    private func full(_ release: AsyncEvent) async throws -> (ConcurrencyLimit, [Task<Void, any Error>]) {
        let limit = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 4, perApp: 2, maxWaiting: 8))
        let holding = (AsyncEvent(), AsyncEvent())
        let holders = [holding.0, holding.1].map { event in
            Task {
                try await limit.run(for: Self.caller) {
                    event.set()
                    await release.wait()
                }
            }
        }
        await holding.0.wait()
        await holding.1.wait()
        return (limit, holders)
    }

    @Test("who waits is ended by cancellation and by the deadline, while all slots stay taken")
    func ended() async throws {
        let release = AsyncEvent()
        let (limit, holders) = try await full(release)
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await limit.run(for: Self.caller, until: .after(.milliseconds(20)), operation: "asking") {}
        }
        #expect(error?.operation == "asking")
        let cancelled = Task { try await limit.run(for: Self.caller) { Issue.record("it ran") } }
        #expect(try await eventually { limit.waitingCount == 1 })
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(limit.waitingCount == 0)
        // Another place is not concerned.
        #expect(try await limit.run(for: ConcurrencyLimit.Caller(place: "q", app: "a")) { 7 } == 7)
        let next = Task { try await limit.run(for: Self.caller) { 8 } }
        #expect(try await eventually { limit.waitingCount == 1 })
        release.set()
        #expect(try await next.value == 8)
        for holder in holders { try await holder.value }
    }

    @Test("a bound body that throws gives its slot back; cancelled before its turn it never runs")
    func givesBack() async throws {
        let limit = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 1, perApp: 1, maxWaiting: 8))
        struct Failure: Error {}
        for _ in 0..<3 {
            await #expect(throws: Failure.self) {
                try await limit.run(for: Self.caller) { () -> Void in throw Failure() }
            }
        }
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await limit.run(for: Self.caller) { Issue.record("it ran") }
        }
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(try await limit.run(for: Self.caller) { 7 } == 7)
    }

    @Test("hundreds at once, some cancelled at any moment: no slot is lost")
    func storm() async throws {
        let limit = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 8, perApp: 3, maxWaiting: 1_000))
        let tasks = (0..<400).map { index in
            Task {
                try await limit.run(
                    for: ConcurrencyLimit.Caller(place: "p\(index % 3)", app: "a\(index % 5)"),
                    until: index % 7 == 0 ? .after(.milliseconds(1)) : nil
                ) { await Task.yield() }
            }
        }
        for (index, task) in tasks.enumerated() where index % 4 == 0 { task.cancel() }
        for task in tasks { _ = await task.result }
        #expect(limit.waitingCount == 0)
        let release = AsyncEvent()
        let holding = Recorder<Int>()
        let holders = (0..<2).map { _ in
            Task {
                try await limit.run(for: Self.caller) {
                    holding.record(1)
                    await release.wait()
                }
            }
        }
        #expect(try await eventually { holding.all.count == 2 })
        release.set()
        for holder in holders { try await holder.value }
    }
}
