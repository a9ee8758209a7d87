import AsyncRuntime
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("A chat whose row somebody else holds")
struct BusySessionTests {
    /// Runs `body` while another client's transaction holds the session's row.
    private func holding(_ session: SessionKey, _ fixture: Fixture, _ body: () async throws -> Void) async throws {
        let other = Pool(url: fixture.url, size: 1)
        try await other.run("BEGIN")
        try await other.run("SELECT FROM gateway.chat_session WHERE id = $1 FOR UPDATE", [.int(session.session)])
        try await body()
        try await other.run("COMMIT")
        await other.close()
    }

    @Test("its messages are acked 500 and nothing of them is written; its neighbours are stored; then they come again")
    func ingest() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", chat: "oc_held"))[0].session)
        let acks = Recorder<String>()
        var limits = Dispatcher.Limits()
        limits.lanes = 1
        // Waiting for the lock is not measured here: give up only after the database does.
        limits.statementTimeout = .seconds(20)
        let log = LogRecorder()
        let dispatcher = Dispatcher(
            batcher: RunBatcher(Batching(), wakeUp: ManualWakeUp()) { _, _ in [:] }, limits: limits,
            outboxHasWork: Doorbell(), logger: log.logger, metrics: Metrics(),
            store: { try await fixture.repository.ingest($0, skipsBusy: $1, deadline: $2) })
        @Sendable func receive(_ id: String, _ chat: String) async {
            await dispatcher.receive(Fixture.message(id, chat: chat), under: fixture.lease) { code in
                acks.record("\(id) \(code.rawValue)")
            }
        }
        try await holding(session, fixture) {
            await receive("om_2", "oc_held")
            await receive("om_3", "oc_free")
            await receive("om_2", "oc_held")
            await dispatcher.drain()
        }
        #expect(acks.all.sorted() == ["om_2 500", "om_2 500", "om_3 200"])
        #expect(log.events(named: "ingest.failed").count == 1)
        #expect(try await fixture.audit() == [])
        let stored = "SELECT lark_message_id FROM gateway.chat_message ORDER BY lark_message_id"
        #expect(try await fixture.pool.rows(stored) == ["(om_1)", "(om_3)"])

        await receive("om_2", "oc_held")
        await dispatcher.drain()
        #expect(acks.all.last == "om_2 200")
        #expect(try await fixture.pool.rows(stored) == ["(om_1)", "(om_2)", "(om_3)"])
    }

    @Test("C16: its window is tried again, and the windows due with it close on time")
    func flush() async throws {
        let fixture = try await Fixture()
        let held = try #require(try await fixture.ingest(Fixture.message("om_1", chat: "oc_held"))[0].session)
        let free = try #require(try await fixture.ingest(Fixture.message("om_2", chat: "oc_free"))[0].session)
        try await fixture.pool.run("UPDATE gateway.pending_run SET due_at = now()")
        let windows = [held, free].map { ($0, fixture.lease) }
        try await holding(held, fixture) {
            let outcomes = try await fixture.repository.flush(windows, force: false, deadline: .after(.seconds(20)))
            #expect(outcomes[held] == .busy)
            guard case .queued = outcomes[free] else { return #expect(Bool(false), "\(outcomes)") }
        }
        #expect(try await fixture.pool.rows("SELECT session_id FROM gateway.pending_run") == ["(\(held.session))"])
        guard case .queued = try await fixture.flush(held, force: false) else { return #expect(Bool(false)) }
    }
}
