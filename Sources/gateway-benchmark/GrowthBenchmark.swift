import AsyncRuntime
import Gateway
import Postgres

/// The same work with ten million messages stored and with none, and pruning under load.
struct GrowthBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    func run() async throws -> [Reading] {
        let stored = isQuick ? 200_000 : 10_000_000
        let empty = try await measure(stored: 0)
        let full = try await measure(stored: stored)
        return [
            Reading(.growth, "ingest, \(stored) messages stored", full.ingest, "messages/s", reference: empty.ingest),
            Reading(
                .growth, "claim/complete, \(stored) messages stored", full.claim, "tasks/s", reference: empty.claim),
        ] + full.pruning
    }

    private struct Figures {
        let ingest: Double
        let claim: Double
        let pruning: [Reading]
    }

    private func measure(stored: Int) async throws -> Figures {
        let url = try await server.makeDatabase("growth")
        let pool = Pool(url: url, size: 8)
        let seed = Seed(pool: pool)
        let tasks = isQuick ? 2_000 : 16_000
        try await seed.installation()
        try await seed.sessions(1, tasks)
        if stored > 0 { try await fill(seed, stored, firstSession: tasks + 1) }
        try await seed.analyze()
        let messages = isQuick ? 8_000 : 60_000
        let rig = try await Rig(url: url)
        _ = try await rig.saturate(Load.frames(2_000, chats: 100, label: "warm").map(\.frame), window: 5_000)
        let took = try await rig.saturate(
            Load.frames(messages, chats: 100, label: "growth").map(\.frame), window: 5_000)
        await rig.end()
        // What the rig left queued is not part of the measurement.
        try await pool.run("UPDATE gateway.agent_task SET status = 'cancelled' WHERE status = 'queued'")
        try await seed.queuedTasks(1, tasks)
        try await seed.analyze()
        let claims = try await QueueBenchmark.work(on: pool, workers: 8, expecting: tasks)
        // Nor are the replies of those tasks: thousands of them would be sent while pruning is measured.
        try await pool.run("UPDATE gateway.outbox SET sent_at = now() WHERE sent_at IS NULL")
        let pruning = stored > 0 ? try await prune(url, stored: stored) : []
        await pool.close()
        try await server.dropDatabase("growth")
        return Figures(
            ingest: Double(messages) / took.seconds, claim: Double(tasks) / claims.seconds, pruning: pruning)
    }

    /// Messages over 10,000 sessions, each with its dedup row, and a tenth as many audit rows: 12 hours old, so that
    /// the gateway leaves them alone until `prune` asks for less.
    private func fill(_ seed: Seed, _ stored: Int, firstSession: Int) async throws {
        let sessions = min(10_000, stored / 20)
        try await seed.sessions(firstSession, firstSession + sessions - 1, messages: stored / sessions)
        try await seed.pool.run(
            """
            INSERT INTO gateway.inbound_dedup (installation_id, lark_message_id, received_at)
            SELECT 1, lark_message_id, now() - interval '12 hours' FROM gateway.chat_message
            """)
        try await seed.pool.run(
            """
            INSERT INTO gateway.inbound_audit (installation_id, app_id, lark_message_id, chat_id, reason, received_at)
            SELECT 1, '\(Rig.app.id)', 'om_audit_' || n, 'oc_1', 'not_addressed_in_group', now() - interval '12 hours'
            FROM generate_series(1, \(stored / 10)) n
            """)
    }

    /// Everything that is old goes, under a load of 500 messages/s; the acks must not notice.
    private func prune(_ url: String, stored: Int) async throws -> [Reading] {
        let rig = try await Rig(url: url)
        let pool = Pool(url: url, size: 2)
        let repository = Repository(pool: pool)
        _ = try await rig.saturate(Load.frames(500, chats: 100, label: "warm2").map(\.frame), window: 100)
        let quiet = Percentiles(
            try await rig.pace(Load.frames(isQuick ? 1_000 : 5_000, chats: 100, label: "quiet"), perSecond: 500))
        var retention = Retention()
        (retention.dedup, retention.audit) = (.seconds(6 * 3600), .seconds(6 * 3600))
        let pruning = Task { [retention] in
            let began = ContinuousClock.now
            let count = try await repository.prune(retention)
            return (count, began.duration(to: .now))
        }
        let busy = Percentiles(
            try await rig.pace(Load.frames(isQuick ? 1_500 : 20_000, chats: 100, label: "busy"), perSecond: 500))
        let (count, took) = try await pruning.value
        await rig.end()
        await pool.close()
        guard count >= stored else { throw BenchmarkError("pruned \(count) of \(stored) rows") }
        return [
            Reading(.growth, "prune dedup and audit, under 500 messages/s", Double(count) / took.seconds, "rows/s"),
            Reading(
                .growth, "frame to ack at 500/s while pruning, p99", busy.at(0.99), "ms", reference: quiet.at(0.99)),
        ]
    }
}
