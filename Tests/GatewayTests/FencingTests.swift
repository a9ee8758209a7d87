import AsyncRuntime
import Foundation
import Lark
import Postgres
import Store
import TestSupport
import Testing

@Suite("A replica that lost its lease")
struct FencingTests {
    @Test("I7: whatever it still writes in the name of the lease changes no row")
    func writes() async throws {
        let fixture = try await Fixture()
        let repository = fixture.repository
        // Something of everything that can be changed.
        let session = try #require(try await fixture.ingest(Fixture.message("om_1"))[0].session)
        try await fixture.flush(session)
        let task = try #require(try await fixture.claim())
        try await repository.completeTask(task.id, worker: "w1", reply: "hello")
        try await fixture.ingest(Fixture.message("om_2", "and more"))
        let stale = fixture.lease
        let row = try #require(
            try await repository.takeOutbox(holder: "test", limit: 1, visibility: .seconds(60)).first)
        try await fixture.pool.run(
            "UPDATE gateway.installation SET lease_generation = lease_generation + 1, lease_holder = 'other'")

        let before = try await everything(fixture.pool)
        #expect(before.count > 8)
        #expect(try await fixture.ingest(Fixture.message("om_3"), lease: stale).map(\.verdict) == [.fenced])
        let outcomes = try await repository.flush([(session, stale)], force: true, deadline: .after(.seconds(20)))
        #expect(outcomes == [session: .fenced])
        try await repository.put("[]", of: session, at: 2, under: stale)
        #expect(try await repository.beginTyping(under: "om_2", of: session, at: 2, under: stale) == nil)
        let now = ContinuousClock.now
        try await repository.record([ConnectionChange(lease: stale, state: .connected, since: now)], now: now)
        #expect(try await !repository.releaseLease(stale, holder: "test"))
        try await repository.releaseLeases(holder: "test")
        #expect(try await repository.holdLeases(holder: "test", ttl: .seconds(90), within: .seconds(20)).isEmpty)
        #expect(try await repository.takeOutbox(holder: "test", limit: 9, visibility: .seconds(60)).isEmpty)
        #expect(try await repository.takeTyping(holder: "test", limit: 9).isEmpty)
        #expect(try await repository.takeProgress(holder: "test", limit: 9).isEmpty)
        try await repository.returnOutbox(holder: "test", except: [])
        #expect(try await everything(fixture.pool) == before)

        // The new holder has claimed the row meanwhile: the old one's outcome is not the row's.
        let claimed = try await repository.takeOutbox(holder: "other", limit: 9, visibility: .seconds(60))
        #expect(claimed.map(\.id) == [row.id])
        let after = try await everything(fixture.pool)
        for settlement in [
            Repository.Settlement.sent(larkMessageID: "om_9"), .retry(in: .seconds(1), error: "x"),
            .returned(for: .seconds(1), reason: "x"), .dead(error: "x", told: "x"),
        ] {
            try await repository.settle(row, settlement)
        }
        #expect(try await everything(fixture.pool) == after)
    }

    /// A replica says there that it lives.
    private static let notOfLeases = ["definition", "migration", "replica"]

    /// Every row of every table, with its version.
    private func everything(_ pool: Pool) async throws -> [String] {
        let tables = try await pool.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind = 'r' ORDER BY 1")
        var rows: [String] = []
        for table in tables.map({ $0.dropFirst().dropLast() }) where !Self.notOfLeases.contains(String(table)) {
            rows += try await pool.rows("SELECT t.*, t.xmin FROM gateway.\(table) t").sorted().map { "\(table) \($0)" }
        }
        return rows
    }
}
