import AsyncRuntime
import Foundation
import Gateway
import Lark
import LarkSimulator
import Postgres
import Store

/// A whole gateway in this process, fed with frames from memory, on a database of its own. Everything from a frame's
/// bytes to its ack's is the product's, the log (written to /dev/null) too.
final class Rig: Sendable {
    static let app = SimulatedApp(id: "cli_benchmark", secret: "benchmark")

    private let connection: MemoryConnection
    private let acks: AckCounter
    private let simulator: LarkSimulator
    private let stop = AsyncEvent()
    private let running: Task<Bool, Never>
    private let log: Int32

    /// - Parameter url: a database with the gateway's schema.
    init(url: String) async throws {
        simulator = LarkSimulator(apps: [Self.app])
        try await simulator.start()
        let acks = AckCounter()
        self.acks = acks
        connection = MemoryConnection { acks.note($0) }
        guard let domain = URL(string: await simulator.url) else { throw BenchmarkError("no simulator") }
        let settings = GatewaySettings(
            databaseURL: url, agents: [AgentSettings(workspace: "acme", name: "support", runtime: "default")],
            installations: [
                InstallationSettings(
                    appID: Self.app.id, appSecret: Self.app.secret, domain: domain, workspace: "acme",
                    agent: "support", access: .open, locale: .en)
            ])
        log = open("/dev/null", O_WRONLY | O_CLOEXEC)
        let gateway = Gateway(
            settings, transport: MemoryTransport(connection: connection),
            logger: LogWriter(settings: LogSettings(), descriptor: log).logger)
        try await gateway.prepare()
        running = Task { [stop] in await gateway.run(until: stop) }
        let deadline = Deadline.after(.seconds(30))
        while !connection.isOpen {
            guard !deadline.hasPassed else {
                await end()
                throw BenchmarkError("the gateway did not connect within 30 s")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Closes the windows, as a SIGTERM does, and frees what the rig holds.
    func end() async {
        stop.set()
        _ = await running.value
        await simulator.stop()
        close(log)
    }

    /// Feeds the frames, `window` of them unacked at most, and waits for every ack.
    /// - Returns: how long it took.
    func saturate(_ frames: [[UInt8]], window: Int) async throws -> Duration {
        let clock = ContinuousClock()
        let gate = Gate()
        let state = Mutex((fed: 0, acked: 0))
        let total = frames.count
        acks.onAck = { [connection] _, code in
            guard code == 200 else { return gate.fail(BenchmarkError("a message was acked \(code)")) }
            let (next, isLast) = state.withLock { state -> (Int?, Bool) in
                state.acked += 1
                guard state.fed < total else { return (nil, state.acked == total) }
                defer { state.fed += 1 }
                return (state.fed, false)
            }
            if let next { connection.push(frames[next]) }
            if isLast { gate.open() }
        }
        let began = clock.now
        let first = min(window, total)
        state.withLock { $0.fed = first }
        for index in 0..<first { connection.push(frames[index]) }
        try await gate.wait()
        return began.duration(to: clock.now)
    }

    /// Feeds frames at a steady rate, whatever the gateway does, and waits for every ack.
    /// - Returns: for each message the time from when it was due to its ack.
    func pace(_ frames: [(id: String, frame: [UInt8])], perSecond: Int) async throws -> [Duration] {
        let clock = ContinuousClock()
        let gate = Gate()
        let total = frames.count
        let state = Mutex((due: [String: ContinuousClock.Instant](), took: [Duration]()))
        acks.onAck = { id, code in
            guard code == 200 else { return gate.fail(BenchmarkError("a message was acked \(code)")) }
            let now = clock.now
            let isLast = state.withLock { state in
                if let due = state.due[id] { state.took.append(due.duration(to: now)) }
                return state.took.count == total
            }
            if isLast { gate.open() }
        }
        let began = clock.now
        // A thread of its own: the tasks' threads are the gateway's.
        let thread = Thread { [connection] in
            for (index, item) in frames.enumerated() {
                let due = began + .nanoseconds(index * 1_000_000_000 / perSecond)
                let wait = clock.now.duration(to: due)
                if wait > .zero { usleep(UInt32(wait.seconds * 1e6)) }
                state.withLock { $0.due[item.id] = due }
                connection.push(item.frame)
            }
        }
        thread.start()
        try await gate.wait()
        return state.withLock { $0.took }
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Reads the acks that the gateway sends.
private final class AckCounter: Sendable {
    typealias OnAck = @Sendable (_ deliveryID: String, _ code: Int) -> Void

    /// In a struct: a function that is a mutex's value itself gets another thunk with every look at it.
    private struct Handler {
        var onAck: OnAck?
    }

    private let handler = Mutex(Handler())

    var onAck: OnAck? {
        get { handler.withLock { $0.onAck } }
        set { handler.withLock { $0.onAck = newValue } }
    }

    func note(_ bytes: [UInt8]) {
        guard let frame = try? Frame(decoding: bytes), frame.method == Frame.Method.data else { return }
        let isHandled = frame.payload?.starts(with: Array(#"{"code":200"#.utf8)) ?? false
        onAck?(frame.header("message_id") ?? "", isHandled ? 200 : 500)
    }
}

/// Opened once, or failed.
private final class Gate: Sendable {
    private let event = AsyncEvent()
    private let error = Mutex<BenchmarkError?>(nil)

    func open() { event.set() }

    func fail(_ error: BenchmarkError) {
        self.error.withLock { $0 = $0 ?? error }
        event.set()
    }

    func wait() async throws {
        await event.wait()
        if let error = error.withLock({ $0 }) { throw error }
    }
}
