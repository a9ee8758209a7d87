import AsyncRuntime
import Gateway
import Store
import TestSupport
import Testing

@Suite("Silence windows")
struct RunBatcherTests {
    private func key(_ session: Int64, installation: Int64 = 1) -> SessionKey {
        SessionKey(installation: InstallationID(rawValue: installation), session: session)
    }

    /// A batcher on a manual clock, and what it flushed.
    private struct Bench {
        let clock = ManualWakeUp()
        let flushed = Recorder<[Int64]>()
        let batcher: RunBatcher

        init(_ batching: Batching = Batching(), flush: RunBatcher.Flush? = nil) {
            let flushed = flushed
            batcher = RunBatcher(batching, wakeUp: clock) { keys, force in
                flushed.record(keys.map(\.session).sorted())
                return try await flush?(keys, force) ?? [:]
            }
        }

        func flushes(_ expected: [[Int64]]) async throws -> Bool {
            let flushed = flushed
            return try await eventually { flushed.all == expected }
        }
    }

    @Test("C2: a burst is one flush, 3 s after its last message; C5: the old timers do nothing")
    func burst() async throws {
        let bench = Bench()
        await bench.batcher.messageStored(in: key(7))
        bench.clock.advance(by: .milliseconds(2_000))
        await bench.batcher.messageStored(in: key(7))
        bench.clock.advance(by: .milliseconds(2_999))
        #expect(bench.batcher.openWindows == 1)
        bench.clock.advance(by: .milliseconds(1))
        #expect(bench.batcher.openWindows == 0)
        #expect(try await bench.flushes([[7]]))
        bench.clock.advance(by: .seconds(100))
        #expect(bench.flushed.all == [[7]])
    }

    @Test("other times, longer or shorter, count from the next message on: an open window stays due when it was")
    func otherTimes() async throws {
        let bench = Bench()
        await bench.batcher.messageStored(in: key(1))
        await bench.batcher.messageStored(in: key(2))
        await bench.batcher.messageStored(in: key(3))
        bench.batcher.update(Batching(silenceWindow: .seconds(8), maxWait: .seconds(9)))
        bench.clock.advance(by: .seconds(2))
        await bench.batcher.messageStored(in: key(2))
        bench.clock.advance(by: .seconds(1))
        #expect(
            try await bench.flushes([[1, 3]]), "as it was; the second window waits for 9 s after its first message")
        bench.batcher.update(Batching(silenceWindow: .milliseconds(500), maxWait: .seconds(30)))
        bench.clock.advance(by: .seconds(1))
        #expect(bench.batcher.openWindows == 1)
        await bench.batcher.messageStored(in: key(2))
        bench.clock.advance(by: .milliseconds(499))
        #expect(bench.batcher.openWindows == 1)
        bench.clock.advance(by: .milliseconds(1))
        #expect(try await bench.flushes([[1, 3], [2]]))
    }

    @Test("C3: two sessions know nothing of one another; those due together are one flush")
    func sessions() async throws {
        let bench = Bench()
        await bench.batcher.messageStored(in: key(1))
        await bench.batcher.messageStored(in: key(2))
        bench.clock.advance(by: .seconds(1))
        await bench.batcher.messageStored(in: key(3))
        bench.clock.advance(by: .seconds(2))
        #expect(try await bench.flushes([[1, 2]]))
        bench.clock.advance(by: .seconds(1))
        #expect(try await bench.flushes([[1, 2], [3]]))
    }

    @Test("C6: a stream without silence is flushed max_wait after its first message")
    func stream() async throws {
        let bench = Bench()
        for second in 0..<30 {
            #expect(bench.flushed.all.isEmpty, "second \(second)")
            await bench.batcher.messageStored(in: key(1))
            bench.clock.advance(by: .seconds(1))
        }
        #expect(try await bench.flushes([[1]]))
    }

    @Test("C19: a window of zero or less is 3 s, and max_wait never less than the window")
    func fallback() {
        #expect(Batching(silenceWindow: .zero).silenceWindow == .seconds(3))
        #expect(Batching(silenceWindow: .seconds(-1)).silenceWindow == .seconds(3))
        #expect(Batching(silenceWindow: .seconds(60), maxWait: .seconds(30)).maxWait == .seconds(60))
    }

    @Test("thousands that are due at once are flushed a bounded number at a time, and all of them")
    func manyAtOnce() async throws {
        let running = Mutex(0)
        let most = Mutex(0)
        let bench = Bench { _, _ in
            let now = running.withLock { running in
                running += 1
                return running
            }
            most.withLock { $0 = max($0, now) }
            await Task.yield()
            running.withLock { $0 -= 1 }
            return [:]
        }
        let count = 10 * RunBatcher.maxSessionsPerFlush + 7
        for session in 1...count { await bench.batcher.messageStored(in: key(Int64(session))) }
        bench.clock.advance(by: .seconds(3))
        let done = try await eventually {
            // The end of a flush sets the alarm for the rest, on the same clock.
            bench.clock.advance(by: .zero)
            return bench.flushed.all.joined().count == count
        }
        #expect(done)
        #expect(Set(bench.flushed.all.joined()).count == count)
        #expect(bench.flushed.all.allSatisfy { $0.count <= RunBatcher.maxSessionsPerFlush })
        #expect(most.withLock { $0 } <= RunBatcher.maxFlushes)
    }

    @Test("a stop flushes thousands of windows in batches, and returns when all are flushed")
    func manyAtStop() async throws {
        let bench = Bench()
        let count = 10 * RunBatcher.maxSessionsPerFlush + 7
        for session in 1...count { await bench.batcher.messageStored(in: key(Int64(session))) }
        await bench.batcher.flushAll()
        #expect(Set(bench.flushed.all.joined()).count == count)
        #expect(bench.flushed.all.allSatisfy { $0.count <= RunBatcher.maxSessionsPerFlush })
    }

    @Test("a session whose row somebody holds is tried again soon, and nobody waits for it")
    func busy() async throws {
        let busy = key(1)
        let calls = Mutex(0)
        let bench = Bench { keys, _ in
            let isFirst = calls.withLock { calls in
                calls += 1
                return calls == 1
            }
            return isFirst && keys.contains(busy) ? [busy: .busy] : [:]
        }
        await bench.batcher.messageStored(in: busy)
        await bench.batcher.messageStored(in: key(2))
        bench.clock.advance(by: .seconds(3))
        #expect(try await eventually { bench.batcher.openWindows == 1 })
        bench.clock.advance(by: .milliseconds(250))
        #expect(try await bench.flushes([[1, 2], [1]]))
    }

    @Test("C16: while a flush is slow, other windows close on time; the same session's next waits for it")
    func slowFlush() async throws {
        let release = AsyncEvent()
        let bench = Bench { keys, _ in
            if keys.map(\.session) == [1] { await release.wait() }
            return [:]
        }
        await bench.batcher.messageStored(in: key(1))
        bench.clock.advance(by: .seconds(3))
        #expect(try await bench.flushes([[1]]))
        await bench.batcher.messageStored(in: key(1))
        await bench.batcher.messageStored(in: key(2))
        bench.clock.advance(by: .seconds(10))
        #expect(try await bench.flushes([[1], [2]]))
        release.set()
        #expect(
            try await eventually {
                bench.clock.advance(by: .milliseconds(1))
                return bench.flushed.all == [[1], [2], [1]]
            })
    }

    @Test("C11: a flush that fails is tried again, until it works")
    func failing() async throws {
        let failures = Mutex(3)
        let bench = Bench { _, _ in
            let fails = failures.withLock { left in
                defer { left -= 1 }
                return left > 0
            }
            if fails { throw CancellationError() }
            return [:]
        }
        await bench.batcher.messageStored(in: key(1))
        #expect(
            try await eventually {
                bench.clock.advance(by: .seconds(1))
                return bench.flushed.all.count == 4
            })
        bench.clock.advance(by: .seconds(100))
        #expect(bench.flushed.all.count == 4)
    }

    @Test("C13, C14, C15: the stop flushes everything, twice called returns twice, and what comes late runs inline")
    func stopping() async throws {
        let bench = Bench()
        await bench.batcher.messageStored(in: key(1))
        await bench.batcher.messageStored(in: key(2))
        async let first: Void = bench.batcher.flushAll()
        async let second: Void = bench.batcher.flushAll()
        _ = await (first, second)
        #expect(bench.flushed.all == [[1, 2]])
        await bench.batcher.messageStored(in: key(3))
        #expect(bench.flushed.all == [[1, 2], [3]])
        #expect(bench.clock.alarm == nil)
    }

    @Test("the stop waits for a flush that is under way, and for the window that waits behind it")
    func stoppingBehindAFlush() async throws {
        let release = AsyncEvent()
        let calls = Mutex(0)
        let bench = Bench { _, _ in
            let call = calls.withLock { count in
                count += 1
                return count
            }
            if call == 1 { await release.wait() }
            return [:]
        }
        await bench.batcher.messageStored(in: key(1))
        bench.clock.advance(by: .seconds(3))
        #expect(try await bench.flushes([[1]]))
        await bench.batcher.messageStored(in: key(1))
        let stop = Task { await bench.batcher.flushAll() }
        release.set()
        await stop.value
        #expect(bench.flushed.all == [[1], [1]])
    }

    @Test("C18: a window that was read back closes at its time, or at once when that has passed")
    func restored() async throws {
        let bench = Bench()
        bench.batcher.restore(key(1), openFor: .seconds(10), dueIn: .seconds(-7))
        bench.batcher.restore(key(2), openFor: .seconds(1), dueIn: .seconds(2))
        bench.clock.advance(by: .zero)
        #expect(try await bench.flushes([[1]]))
        bench.clock.advance(by: .seconds(2))
        #expect(try await bench.flushes([[1], [2]]))
    }

    @Test("a window that the database has extended is closed later; those of a lost installation never")
    func extendedAndForgotten() async throws {
        let answered = Mutex(false)
        let bench = Bench { keys, _ in
            let first = answered.withLock { seen in
                defer { seen = true }
                return !seen
            }
            return first ? [keys[0]: .notDue(.seconds(2))] : [:]
        }
        await bench.batcher.messageStored(in: key(1))
        bench.clock.advance(by: .seconds(3))
        #expect(try await eventually { bench.batcher.openWindows == 1 })
        bench.clock.advance(by: .seconds(2))
        #expect(try await bench.flushes([[1], [1]]))
        await bench.batcher.messageStored(in: key(5, installation: 2))
        bench.batcher.forget(InstallationID(rawValue: 2))
        bench.clock.advance(by: .seconds(10))
        #expect(bench.flushed.all == [[1], [1]])
    }

    @Test("any sequence of messages flushes each session as the rules say", arguments: 0..<300)
    func model(seed: Int) async throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let bench = Bench(Batching(silenceWindow: .seconds(3), maxWait: .seconds(10)))
        // The plain model: first and last message of each open window, in seconds.
        var open: [Int64: (first: Int, last: Int)] = [:]
        var expected: [Int64] = []
        for second in 0..<60 {
            for (session, window) in open.sorted(by: { $0.key < $1.key })
            where second >= min(window.last + 3, window.first + 10) {
                expected.append(session)
                open[session] = nil
            }
            for session in Int64(0)..<4 where Int.random(in: 0..<4, using: &random) == 0 {
                // The flush before must be over, or the model would have to know how long it takes.
                await bench.batcher.messageStored(in: key(session))
                open[session] = (open[session]?.first ?? second, second)
            }
            bench.clock.advance(by: .seconds(1))
            let count = open.filter { second + 1 < min($0.value.last + 3, $0.value.first + 10) }.count
            #expect(bench.batcher.openWindows == count, "seed \(seed), second \(second)")
            let due = expected.count + open.count - count
            #expect(try await eventually { bench.flushed.all.flatMap { $0 }.count == due }, "seed \(seed)")
            await Task.yield()
        }
        #expect(Array(bench.flushed.all.flatMap { $0 }.prefix(expected.count)) == expected, "seed \(seed)")
    }
}
