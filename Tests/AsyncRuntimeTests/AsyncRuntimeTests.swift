import AsyncRuntime
import Foundation
import TestSupport
import Testing

/// Closed on exec: a child that another test starts at this moment would hold the far end open, and no hang-up came.
private func socketPair() -> (Int32, Int32)? {
    var ends: [Int32] = [0, 0]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    return socketpair(AF_UNIX, type, 0, &ends) == 0 ? (ends[0], ends[1]) : nil
}

@Suite("Backoff")
struct BackoffTests {
    /// Always the largest number.
    struct Highest: RandomNumberGenerator {
        mutating func next() -> UInt64 { .max }
    }

    @Test("the bound doubles up to its maximum, and starts again after a reset; waits stay below it")
    func bounds() {
        var backoff = Backoff(initial: .seconds(2), maximum: .seconds(60))
        var bounds: [Duration] = []
        for _ in 0..<7 {
            bounds.append(backoff.bound)
            var random = SystemRandomNumberGenerator()
            let bound = backoff.bound
            let wait = backoff.next(using: &random)
            #expect(wait >= .zero && wait <= bound)
        }
        #expect(bounds == [2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
        backoff.reset()
        #expect(backoff.bound == .seconds(2))
    }
}

@Suite("Waiting")
struct WaitingTests {
    @Test("a call that blocks is waited for until it ends, or until the task is cancelled")
    func blockingCall() async throws {
        #expect(await BlockingCall.runUnlessCancelled { 7 } == 7)
        let release = DispatchSemaphore(value: 0)
        let began = AsyncEvent()
        let task = Task {
            await BlockingCall.runUnlessCancelled {
                began.set()
                release.wait()
                return 7
            }
        }
        await began.wait()
        task.cancel()
        #expect(await task.value == nil)
        release.signal()
    }

    @Test("a doorbell keeps a ring for later, and many rings are one")
    func doorbell() async {
        let bell = Doorbell()
        bell.ring()
        bell.ring()
        let clock = ContinuousClock()
        let first = await clock.measure { await bell.wait(atMost: .seconds(30)) }
        #expect(first < .seconds(29))
        await bell.wait(atMost: .milliseconds(10))
        let waiter = Task { await bell.wait(atMost: .seconds(60)) }
        waiter.cancel()
        await waiter.value
        async let rung: Void = bell.wait(atMost: .seconds(60))
        bell.ring()
        await rung
    }

    @Test("an event releases all who wait, and who comes later; cancellation releases too")
    func event() async {
        let event = AsyncEvent()
        let waiters = (0..<5).map { _ in Task { await event.wait() } }
        let cancelled = Task { await event.wait() }
        cancelled.cancel()
        await cancelled.value
        #expect(!event.isSet)
        event.set()
        for waiter in waiters { await waiter.value }
        await event.wait()
    }

    @Test("an alarm rings at its time, at once when that has passed, and lets a cancelled task go")
    func alarm() async throws {
        let deadline = Deadline.after(.milliseconds(20))
        await Alarm.wait(until: deadline)
        #expect(deadline.hasPassed)
        await Alarm.wait(until: .after(.seconds(-5)))
        let sleeper = Task { await Alarm.wait(until: .after(.seconds(3600))) }
        sleeper.cancel()
        await sleeper.value
    }

    @Test("a deadline cancels the body and says what was waited for")
    func deadline() async throws {
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await withDeadline(.after(.milliseconds(10)), operation: "waiting") {
                try await Task.sleep(for: .seconds(600))
            }
        }
        #expect(try #require(error).operation == "waiting")
        #expect(try await withDeadline(.after(.seconds(60)), operation: "nothing") { 7 } == 7)
    }

    @Test("readiness: data, deadline, cancellation, a second waiter and invalidation each end a wait once")
    func readiness() async throws {
        let (reading, writing) = try #require(socketPair())
        let readiness = SocketReadiness(descriptor: reading)
        #expect(await readiness.wait(for: .read, until: .after(.milliseconds(10))) == .deadlineExceeded)
        let cancelled = Task { await readiness.wait(for: .read, until: nil) }
        cancelled.cancel()
        #expect(await cancelled.value == .cancelled)
        for round in 0..<100 {
            async let outcome = readiness.wait(for: .read, until: .after(.seconds(20)))
            var byte = UInt8(truncatingIfNeeded: round)
            #expect(write(writing, &byte, 1) == 1)
            #expect(await outcome == .ready)
            #expect(read(reading, &byte, 1) == 1)
        }
        // The library closed its own descriptor: our wait is not confused by it, and hears the end of the stream.
        close(reading)
        close(writing)
        #expect(await readiness.wait(for: .read, until: .after(.seconds(20))) == .ready)
        readiness.invalidate()
        #expect(await readiness.wait(for: .read, until: nil) == .invalidated)
    }
}

@Suite("A child process")
struct ChildProcessTests {
    private func shell(_ script: String, input: Data = Data(), seconds: Int = 30) async throws -> ChildProcessResult {
        try await ChildProcess.run("/bin/sh", ["-c", script], input: input, deadline: .after(.seconds(seconds)))
    }

    @Test("gives its status, output and error output; a signal counts as 128 and its number")
    func results() async throws {
        let result = try await shell("cat; echo no >&2; exit 3", input: Data("yes".utf8))
        #expect(result.status == 3)
        #expect(String(decoding: result.output, as: UTF8.self) == "yes")
        #expect(String(decoding: result.errorOutput, as: UTF8.self) == "no\n")
        #expect(try await shell("kill -9 $$").status == 137)
        await #expect(throws: SpawnError.self) {
            try await ChildProcess.run("/no/such/program", [], deadline: .after(.seconds(5)))
        }
    }

    @Test("megabytes both ways do not block, and a child that reads nothing does not either")
    func large() async throws {
        let input = Data(repeating: 0x61, count: 3_000_000)
        #expect(try await shell("cat", input: input).output == input)
        #expect(try await shell("exit 0", input: input).status == 0)
    }

    @Test("the deadline ends it with its children; cancellation too")
    func deadline() async throws {
        await #expect(throws: DeadlineExceeded.self) {
            try await ChildProcess.run("/bin/sh", ["-c", "sleep 600 & wait"], deadline: .after(.milliseconds(100)))
        }
        let began = AsyncEvent()
        let task = Task {
            try await ChildProcess.run(
                "/bin/sh", ["-c", "sleep 600"], deadline: .after(.seconds(30)), started: { _ in began.set() })
        }
        await began.wait()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("dozens at a time end")
    func many() async throws {
        let statuses = try await withThrowingTaskGroup(of: Int32.self) { group in
            for number in 0..<60 { group.addTask { try await shell("sleep 0.2; exit \(number)").status } }
            return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
        }
        #expect(statuses.count == 60)
    }
}

@Suite("The end of a stream")
struct EndOfStreamTests {
    @Test("bytes that came before a hang-up are read, and then the end is heard: no wait hangs", arguments: 0..<20)
    func hangUp(round: Int) async throws {
        let (ours, theirs) = try #require(socketPair())
        let readiness = SocketReadiness(descriptor: ours)
        async let first = readiness.wait(for: .read, until: .after(.seconds(20)))
        await Task.yield()
        var bytes: [UInt8] = [1, 2]
        #expect(write(theirs, &bytes, 2) == 2)
        close(theirs)
        #expect(await first == .ready)
        for expected in [1, 1, 0] {
            #expect(await readiness.wait(for: .read, until: .after(.seconds(20))) == .ready)
            #expect(read(ours, &bytes, 1) == expected)
        }
        close(ours)
        readiness.invalidate()
    }
}

@Suite("Many streams that end")
struct HangUpStormTests {
    @Test("eight tasks that open, hang up and let go 2,000 times each neither crash nor hang")
    func storm() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<2_000 {
                        guard let (ours, theirs) = socketPair() else { return #expect(Bool(false), "no sockets") }
                        let readiness = SocketReadiness(descriptor: ours)
                        async let read = readiness.wait(for: .read, until: .after(.seconds(20)))
                        async let written = readiness.wait(for: .write, until: .after(.seconds(20)))
                        close(theirs)
                        #expect(await read == .ready)
                        #expect(await written == .ready)
                        readiness.invalidate()
                        close(ours)
                    }
                }
            }
        }
    }
}

@Suite("The end of a process")
struct ProcessEndTests {
    static let methods: [ProcessEnd.Method] = [.descriptor, .polling(every: .milliseconds(5))]

    /// A process that is no child of ours, and its id: it has left the group of the shell that started it, which ends
    /// when it has.
    private func stranger() async throws -> pid_t {
        let script = "pid=$(setsid --fork sh -c 'echo $$; exec >/dev/null 2>&1; exec sleep 600'); echo $pid"
        let shell = try await ChildProcess.run("/bin/sh", ["-c", script], deadline: .after(.seconds(20)))
        let text = String(decoding: shell.output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        let pid = try #require(pid_t(text))
        ExitCleanup.addProcess(pid)
        return pid
    }

    @Test("is noticed of one that is no child of ours, and of one that is gone already", arguments: methods)
    func ended(method: ProcessEnd.Method) async throws {
        let pid = try await stranger()
        let waiting = Task { await ProcessEnd.wait(for: pid, by: method) }
        kill(pid, SIGKILL)
        #expect(await waiting.value)
        #expect(await ProcessEnd.wait(for: pid, by: method))
    }

    @Test("a wait for it that is cancelled says that it has not come", arguments: methods)
    func cancelled(method: ProcessEnd.Method) async throws {
        let pid = try await stranger()
        let waiting = Task { await ProcessEnd.wait(for: pid, by: method) }
        waiting.cancel()
        #expect(await !waiting.value)
        #expect(kill(pid, SIGKILL) == 0, "it lives")
    }

    @Test("of a child that nobody waits for is noticed too, and leaves no zombie", arguments: methods)
    func child(method: ProcessEnd.Method) async throws {
        var pid: pid_t = 0
        var argv = [strdup("/bin/true"), nil]
        defer { free(argv[0]) }
        try #require(posix_spawn(&pid, "/bin/true", nil, nil, &argv, nil) == 0)
        #expect(await ProcessEnd.wait(for: pid, by: method))
        #expect(kill(pid, 0) != 0)
    }
}
