import AsyncRuntime
import Gateway
import Postgres
import Store

/// Tasks claimed and completed per second, one after another per worker, each worker on a connection of its own.
struct QueueBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    func run() async throws -> [Reading] {
        var results: [Reading] = []
        let scale = isQuick ? 8 : 1
        for (workers, tasks) in [(1, 4_000), (8, 16_000), (64, 16_000)] {
            let rate = try await measure(workers: workers, tasks: tasks / scale)
            results.append(Reading(.claimComplete, workers == 1 ? "1 worker" : "\(workers) workers", rate, "tasks/s"))
        }
        let history = 1_000_000 / (isQuick ? 10 : 1)
        let rates = try await compare(tasks: 16_000 / scale, history: history)
        results.append(
            Reading(
                .claimComplete, "8 workers, \(history) completed tasks", rates.filled, "tasks/s",
                reference: rates.empty))
        return results
    }

    private func measure(workers: Int, tasks: Int) async throws -> Double {
        let pool = Pool(url: try await server.makeDatabase("queue"), size: workers)
        let seed = Seed(pool: pool)
        try await seed.installation()
        try await seed.sessions(1, tasks)
        try await seed.queuedTasks(1, tasks)
        try await seed.analyze()
        let took = try await Self.work(on: pool, workers: workers, expecting: tasks)
        await pool.close()
        return Double(tasks) / took.seconds
    }

    private func compare(tasks: Int, history: Int) async throws -> (empty: Double, filled: Double) {
        var pools: [Pool] = []
        for (name, history) in [("queue", 0), ("queue_filled", history)] {
            let pool = Pool(url: try await server.makeDatabase(name), size: 8)
            let seed = Seed(pool: pool)
            try await seed.installation()
            try await seed.sessions(1, tasks)
            if history > 0 { try await seed.completedTasks(history, sessions: tasks) }
            pools.append(pool)
        }
        let rates = try await Self.byTurns(empty: pools[0], filled: pools[1], tasks: tasks)
        for pool in pools { await pool.close() }
        return rates
    }

    /// The same tasks on two databases by turns, so that both see the same machine: a disk's speed changes from minute
    /// to minute.
    static func byTurns(empty: Pool, filled: Pool, tasks: Int) async throws -> (empty: Double, filled: Double) {
        let turns = 8
        let share = tasks / turns
        var took: (empty: Duration, filled: Duration) = (.zero, .zero)
        for turn in 0..<turns {
            for pool in [empty, filled] {
                let seed = Seed(pool: pool)
                try await seed.queuedTasks(turn * share + 1, (turn + 1) * share)
                try await seed.analyze()
            }
            for isFilled in turn % 2 == 0 ? [false, true] : [true, false] {
                let spent = try await work(on: isFilled ? filled : empty, workers: 8, expecting: share)
                if isFilled { took.filled += spent } else { took.empty += spent }
            }
        }
        let count = Double(share * turns)
        return (count / took.empty.seconds, count / took.filled.seconds)
    }

    /// Claims and completes until nothing is left.
    static func work(on pool: Pool, workers: Int, expecting tasks: Int) async throws -> Duration {
        let repository = Repository(pool: pool)
        let began = ContinuousClock.now
        let done = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<workers {
                let worker = WorkerIdentity(name: "w\(number)", token: WorkerIdentity.randomToken())
                group.addTask {
                    var count = 0
                    while let task = try await repository.claimTask(
                        runtime: "default", worker: worker, lease: .seconds(60))
                    {
                        try await repository.completeTask(task.id, worker: worker, reply: "It will be sunny.")
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
