import AsyncRuntime
import Gateway
import Postgres

/// Tasks claimed and completed per second, one after another per worker, each worker on a connection of its own.
struct QueueBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    func run() async throws -> [Reading] {
        var results: [Reading] = []
        var base: Double?
        let scale = isQuick ? 8 : 1
        for (workers, tasks) in [(1, 4_000), (8, 16_000), (64, 16_000)] {
            let rate = try await measure(workers: workers, tasks: tasks / scale, history: 0)
            if workers == 8 { base = rate }
            results.append(Reading(.claimComplete, workers == 1 ? "1 worker" : "\(workers) workers", rate, "tasks/s"))
        }
        let history = 1_000_000 / (isQuick ? 10 : 1)
        let rate = try await measure(workers: 8, tasks: 16_000 / scale, history: history)
        results.append(
            Reading(
                .claimComplete, "8 workers, \(history) completed tasks", rate, "tasks/s", reference: base))
        return results
    }

    private func measure(workers: Int, tasks: Int, history: Int) async throws -> Double {
        let url = try await server.makeDatabase("queue")
        let pool = Pool(url: url, size: workers)
        let seed = Seed(pool: pool)
        try await seed.installation()
        try await seed.sessions(1, tasks)
        if history > 0 { try await seed.completedTasks(history, sessions: tasks) }
        try await seed.queuedTasks(1, tasks)
        try await seed.analyze()
        let took = try await Self.work(on: pool, workers: workers, expecting: tasks)
        await pool.close()
        return Double(tasks) / took.seconds
    }

    /// Claims and completes until nothing is left.
    static func work(on pool: Pool, workers: Int, expecting tasks: Int) async throws -> Duration {
        let repository = Repository(pool: pool)
        let began = ContinuousClock.now
        let done = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<workers {
                group.addTask {
                    var count = 0
                    while let task = try await repository.claimTask(
                        runtime: "default", worker: "w\(number)", lease: .seconds(60))
                    {
                        try await repository.completeTask(task.id, worker: "w\(number)", reply: "It will be sunny.")
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        let took = began.duration(to: .now)
        guard done == tasks else { throw BenchmarkError("claim/complete: \(done) of \(tasks) tasks") }
        return took
    }
}
