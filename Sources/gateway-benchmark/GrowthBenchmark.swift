import AsyncRuntime
import Gateway
import Postgres
import Store

/// The same work with ten million messages stored and with none, and pruning under load.
struct GrowthBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    func run() async throws -> [Reading] {
        let stored = isQuick ? 200_000 : 10_000_000
        let tasks = isQuick ? 2_000 : 16_000
        let empty = try await Stand(try await server.makeDatabase("growth_empty"), sessions: tasks)
        let filled = try await Stand(try await server.makeDatabase("growth"), sessions: tasks)
        try await fill(filled.seed, stored, firstSession: tasks + 1)
        for stand in [empty, filled] { try await stand.seed.analyze() }
        let ingest = try await ingestByTurns(empty, filled)
        // What the rigs left queued is not part of the measurement.
        for stand in [empty, filled] {
            try await stand.pool.run("UPDATE gateway.agent_task SET status = 'cancelled' WHERE status = 'queued'")
        }
        let claim = try await QueueBenchmark.byTurns(empty: empty.pool, filled: filled.pool, tasks: tasks)
        // Nor are the replies of those tasks: thousands of them would be sent while pruning is measured.
        try await filled.pool.run("UPDATE gateway.outbox SET sent_at = now() WHERE sent_at IS NULL")
        let pruning = try await prune(filled.url, stored: stored)
        for stand in [empty, filled] { await stand.pool.close() }
        for name in ["growth_empty", "growth"] { try await server.dropDatabase(name) }
        return [
            Reading(.growth, "ingest, \(stored) messages stored", ingest.filled, "messages/s", reference: ingest.empty),
            Reading(
                .growth, "claim/complete, \(stored) messages stored", claim.filled, "tasks/s", reference: claim.empty),
        ] + pruning
    }

    /// A database that is measured.
    private struct Stand {
        let url: String
        let pool: Pool
        let seed: Seed

        init(_ url: String, sessions: Int) async throws {
            self.url = url
            pool = Pool(url: url, size: 8)
            seed = Seed(pool: pool)
            try await seed.installation()
            try await seed.sessions(1, sessions)
        }
    }

    /// As in `QueueBenchmark.byTurns`.
    private func ingestByTurns(_ empty: Stand, _ filled: Stand) async throws -> (empty: Double, filled: Double) {
        let turns = 8
        let messages = (isQuick ? 8_000 : 60_000) / turns
        let rigs = (empty: try await Rig(url: empty.url), filled: try await Rig(url: filled.url))
        var took: (empty: Duration, filled: Duration) = (.zero, .zero)
        for rig in [rigs.empty, rigs.filled] {
            _ = try await rig.saturate(Load.frames(2_000, chats: 100, label: "warm").map(\.frame), window: 5_000)
        }
        for turn in 0..<turns {
            let frames = Load.frames(messages, chats: 100, label: "growth\(turn)").map(\.frame)
            for isFilled in turn % 2 == 0 ? [false, true] : [true, false] {
                let spent = try await (isFilled ? rigs.filled : rigs.empty).saturate(frames, window: 5_000)
                if isFilled { took.filled += spent } else { took.empty += spent }
            }
        }
        for rig in [rigs.empty, rigs.filled] { await rig.end() }
        let count = Double(messages * turns)
        return (count / took.empty.seconds, count / took.filled.seconds)
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
