import TestSupport
import Testing

@testable import AsyncRuntime

@Suite("Tasks of one owner")
struct TaskSetTests {
    @Test("the end cancels what was begun and waits for it, and nothing begins after it")
    func ending() async {
        let tasks = TaskSet()
        let ended = Recorder<String>()
        let hasBegun = AsyncEvent()
        tasks.begin {
            hasBegun.set()
            await AsyncEvent().wait()
            // Something that is done although it is cancelled.
            await Task { await Task.yield() }.value
            ended.record("first")
        }
        await hasBegun.wait()
        await tasks.end()
        #expect(ended.all == ["first"])
        tasks.begin { ended.record("late") }
        await tasks.end()
        #expect(ended.all == ["first"])
    }

    @Test("a task that has ended is forgotten")
    func forgetting() async throws {
        let tasks = TaskSet()
        for _ in 0..<100 { tasks.begin {} }
        #expect(try await eventually { tasks.count == 0 })
    }
}
