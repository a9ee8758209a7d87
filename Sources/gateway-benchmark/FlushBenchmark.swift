import AsyncRuntime
import Gateway
import Postgres
import Store

/// Sessions that are all due at once, from the batcher's alarm to their queued tasks.
struct FlushBenchmark {
    let server: BenchmarkServer
    let sessions: Int

    func run() async throws -> [Reading] {
        let url = try await server.makeDatabase("flush")
        let pool = Pool(url: url, size: 8)
        let seed = Seed(pool: pool)
        try await seed.installation()
        try await seed.sessions(1, sessions)
        try await pool.run(
            """
            INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
            SELECT 1, n, now(), now() FROM generate_series(1, \(sessions)) n
            """)
        try await seed.analyze()
        let lease = Lease(installation: InstallationID(rawValue: 1), generation: 1)
        let repository = Repository(pool: pool)
        let done = AsyncEvent()
        let state = Mutex((queued: 0, ended: ContinuousClock.now))
        let failure = Mutex<String?>(nil)
        let total = sessions
        let batcher = RunBatcher(
            Batching(),
            flushFailed: { _, error, _ in
                failure.withLock { $0 = "\(error)" }
                done.set()
            },
            flush: { keys, force in
                let outcomes = try await repository.flush(
                    keys.map { ($0, lease) }, force: force, deadline: .after(.seconds(60)))
                let queued = outcomes.values.filter { if case .queued = $0 { true } else { false } }.count
                let isLast = state.withLock { state in
                    state.queued += queued
                    state.ended = .now
                    return state.queued == total
                }
                if isLast { done.set() }
                return outcomes
            })
        let began = ContinuousClock.now
        for session in 1...sessions {
            let key = SessionKey(installation: lease.installation, session: Int64(session))
            batcher.restore(key, openFor: .seconds(3), dueIn: .zero)
        }
        await done.wait()
        if let failure = failure.withLock({ $0 }) { throw BenchmarkError("flush: \(failure)") }
        let took = began.duration(to: state.withLock { $0.ended })
        let tasks: Int64 = try await pool.scalar(
            "SELECT count(*) FROM gateway.agent_task WHERE status = 'queued'", or: 0)
        guard tasks == sessions else { throw BenchmarkError("flush: \(tasks) tasks of \(sessions) sessions") }
        await batcher.flushAll()
        await pool.close()
        return [Reading(.flush, "\(sessions) sessions due at once", Double(sessions) / took.seconds, "sessions/s")]
    }
}
