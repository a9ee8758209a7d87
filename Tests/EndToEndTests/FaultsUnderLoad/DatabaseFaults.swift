import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

extension FaultsUnderLoad {
    /// What Postgres may refuse for a while, and how a test has it do so.
    enum Refusal: String, CaseIterable, CustomTestStringConvertible {
        case terminatedBackends
        case lockedTable
        case statementTimeouts
        case serializationFailures
        case deadlocks

        var testDescription: String { rawValue }
    }

    @Test("Postgres refuses for a while: retried, and never a wrong verdict", arguments: Refusal.allCases)
    func refusal(_ refusal: Refusal) async throws {
        let gateway = try await LoadedGateway("\(refusal)")
        try await gateway.eachRound(FaultSettings.rounds(full: 10)) { gateway in
            switch refusal {
            case .terminatedBackends: try await terminateBackends(gateway)
            case .lockedTable: try await lockTable(gateway)
            case .statementTimeouts: try await timeOutStatements(gateway)
            case .serializationFailures: try await raise("40001", gateway)
            case .deadlocks: try await raise("40P01", gateway)
            }
        }
        let drops = "SELECT lark_message_id FROM gateway.inbound_audit WHERE reason <> 'duplicate'"
        #expect(try await gateway.stage.rows(drops).isEmpty)
        try await gateway.end()
    }

    private func terminateBackends(_ gateway: LoadedGateway) async throws {
        try await gateway.stage.pool.run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name LIKE 'lark-gateway%' AND pid <> pg_backend_pid()
            """)
    }

    /// Everybody waits for it longer than they are ready to.
    private func lockTable(_ gateway: LoadedGateway) async throws {
        let other = Pool(url: gateway.stage.url, size: 1)
        try await other.run("BEGIN")
        try await other.run("LOCK TABLE gateway.chat_session IN ACCESS EXCLUSIVE MODE")
        // Some 3 s.
        try await gateway.moreMessages(200)
        try await other.run("COMMIT")
        await other.close()
    }

    private func timeOutStatements(_ gateway: LoadedGateway) async throws {
        try await gateway.stage.pool.run("ALTER ROLE lark_gateway SET statement_timeout = '1ms'")
        try await terminateBackends(gateway)
        try await gateway.moreMessages(100)
        // Our own pool may have a connection that is new, and in a hurry too.
        let patient = Pool(url: gateway.stage.url + " options='-c statement_timeout=0'", size: 1)
        try await patient.run("ALTER ROLE lark_gateway RESET statement_timeout")
        await patient.close()
        try await terminateBackends(gateway)
    }

    /// A third of the statements that write end so.
    private func raise(_ sqlState: String, _ gateway: LoadedGateway) async throws {
        let pool = gateway.stage.pool
        try await pool.run(
            """
            CREATE OR REPLACE FUNCTION public.fail_at_times() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF random() < 0.33 THEN RAISE EXCEPTION 'injected' USING ERRCODE = '\(sqlState)'; END IF;
                RETURN NULL;
            END $$
            """)
        let tables = ["inbound_dedup", "chat_message", "pending_run", "agent_task", "outbox"]
        for table in tables {
            try await pool.run(
                """
                CREATE TRIGGER fail_at_times AFTER INSERT OR UPDATE OR DELETE ON gateway.\(table)
                FOR EACH STATEMENT EXECUTE FUNCTION public.fail_at_times()
                """)
        }
        try await gateway.moreMessages(150)
        for table in tables { try await pool.run("DROP TRIGGER fail_at_times ON gateway.\(table)") }
    }
}
