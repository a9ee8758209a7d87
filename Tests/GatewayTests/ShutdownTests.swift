import AsyncRuntime
import Postgres
import TestSupport
import Testing

@testable import Gateway

@Suite("The ordered stop")
struct ShutdownTests {
    private static func steps(_ log: LogRecorder) -> [String] {
        log.events(named: "shutdown.step_ended").compactMap { event in
            guard case .text(let step)? = event["step"] else { return nil }
            return step
        }
    }

    @Test("receiving ends first, the leases are released last, and the pool is closed when every task has ended")
    func order() async throws {
        let url = try await TestPostgres.makeDatabase()
        let log = LogRecorder()
        let gateway = Gateway(GatewaySettings(databaseURL: url, agents: [], installations: []), logger: log.logger)
        try await gateway.prepare()
        let stop = AsyncEvent()
        let isDone = await gateway.run(until: stop) { stop.set() }
        #expect(isDone)
        #expect(
            Self.steps(log) == [
                "receiving", "flushing the windows", "sending what is under way", "closing the connections",
                "releasing the leases", "ending every task", "closing the pool",
            ])
        #expect(log.events(named: "gateway.shutdown_incomplete").isEmpty)
    }

    @Test("what a task still does when it is told to end, it does with a pool that is open")
    func tasksBeforePool() async throws {
        let log = LogRecorder()
        let url = try await TestPostgres.makeDatabase()
        let ground = Assembly.Ground(
            GatewaySettings(databaseURL: url, agents: [], installations: []),
            transport: nil, logger: log.logger, metrics: Metrics())
        let answers = Recorder<Bool>()
        let beside = Task {
            await AsyncEvent().wait()
            // The task is cancelled, what it does last is not.
            await Task {
                let answer: Void? = try? await ground.repository.releaseLeases(holder: "nobody")
                answers.record(answer != nil)
            }.value
        }
        let running = Running(hub: Task {}, sender: Task {}, beside: [beside])
        let shutdown = Shutdown(of: Assembly(ground), running, ground, lastLimit: .seconds(20))
        #expect(await shutdown.run(within: .seconds(20)))
        #expect(answers.all == [true])
    }

    @Test("a step that hangs is cancelled at the end of its time, and the next ones have the rest of all the time")
    func hanging() async throws {
        let log = LogRecorder()
        let wasCancelled = AsyncEvent()
        let shutdown = Shutdown(
            steps: [
                Shutdown.Step(name: "first") {},
                Shutdown.Step(name: "hanging", limit: .milliseconds(50)) {
                    await AsyncEvent().wait()
                    if Task.isCancelled { wasCancelled.set() }
                },
                Shutdown.Step(name: "next") {},
            ], logger: log.logger)
        #expect(await shutdown.run(within: .seconds(60)) == false)
        await wasCancelled.wait(atMost: .seconds(20))
        #expect(wasCancelled.isSet)
        #expect(Self.steps(log) == ["first", "next"])
        #expect(log.events(named: "gateway.shutdown_incomplete").map { $0["unfinished"] } == [.text("hanging")])
    }

    @Test("where all the time is over, what always has to be done still is")
    func overdue() async throws {
        let log = LogRecorder()
        let done = Recorder<String>()
        let shutdown = Shutdown(
            steps: [
                Shutdown.Step(name: "skipped") { done.record("skipped") },
                Shutdown.Step(name: "last", limit: .seconds(20), isAlwaysDone: true) { done.record("last") },
            ], logger: log.logger)
        #expect(await shutdown.run(within: .zero) == false)
        #expect(done.all == ["last"])
        #expect(log.events(named: "gateway.shutdown_incomplete").map { $0["unfinished"] } == [.text("skipped")])
    }

    @Test("where the caller is cancelled nothing is waited for, except what always has to be done")
    func cancelled() async throws {
        let log = LogRecorder()
        let shutdown = Shutdown(
            steps: [
                Shutdown.Step(name: "hanging") { await AsyncEvent().wait() },
                Shutdown.Step(name: "last", limit: .seconds(20), isAlwaysDone: true) { await Task.yield() },
            ], logger: log.logger)
        let running = Task { await shutdown.run(within: .seconds(20)) }
        running.cancel()
        #expect(await running.value == false)
        #expect(Self.steps(log) == ["last"])
    }
}
