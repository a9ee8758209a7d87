import AsyncRuntime
import Gateway
import Postgres

/// What choosing the next messages to send costs while many wait, against few: an outage of the platform must not be
/// paid for when it is over.
struct OutboxBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    private static let few = 100
    private static let takes = 200

    func run() async throws -> [Reading] {
        let many = isQuick ? 4_000 : 20_000
        let reference = try await measure(waiting: Self.few, chats: Self.few, name: "outbox_few")
        var readings: [Reading] = []
        for (chats, what) in [(many, "in as many chats"), (50, "in 50 chats")] {
            let rate = try await measure(waiting: many, chats: chats, name: "outbox_\(chats)")
            readings.append(
                Reading(.outbox, "choosing 32 while \(many) wait \(what)", rate, "choices/s", reference: reference))
        }
        return readings
    }

    /// Choosing 32 messages (or as many as chats can be sent to), over and over, as they are sent and others come.
    private func measure(waiting: Int, chats: Int, name: String) async throws -> Double {
        let pool = Pool(url: try await server.makeDatabase(name), size: 2)
        let seed = Seed(pool: pool)
        try await seed.installation()
        try await pool.run(
            "UPDATE gateway.installation SET lease_holder = 'bench', lease_expires_at = now() + interval '1 hour'")
        func add(_ count: Int) async throws {
            try await pool.run(
                """
                INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
                SELECT 1, 'reply', 'chat_id', 'oc_' || n % \(chats), '{"text": "done"}' FROM generate_series(1, \(count)) n
                """)
        }
        try await add(waiting)
        try await seed.analyze()
        var took: Duration = .zero
        for _ in 0..<Self.takes {
            let began = ContinuousClock.now
            let chosen: Int64 = try await pool.scalar(
                "SELECT count(*) FROM gateway.take_outbox('bench', 32, '600 s')", or: 0)
            took += began.duration(to: .now)
            guard chosen == 32 else { throw BenchmarkError("outbox: \(chosen) rows chosen of \(waiting)") }
            try await pool.run(
                "UPDATE gateway.outbox SET sent_at = now() WHERE taken_generation IS NOT NULL AND sent_at IS NULL")
            try await add(32)
        }
        await pool.close()
        return Double(Self.takes) / took.seconds
    }
}
