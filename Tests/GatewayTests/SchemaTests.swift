import AsyncRuntime
import Postgres
import TestSupport
import Testing

@testable import Gateway

/// What the tables must be like to be spread over several servers by installation (docs/growing.md).
@Suite("The schema")
struct SchemaTests {
    private static let hot = [
        "member_binding", "former_member", "binding_token", "chat_session", "chat_binding", "chat_message",
        "inbound_dedup", "pending_run", "agent_task", "outbox", "typing", "group_context", "progress",
    ]

    private func rows(_ sql: String) async throws -> [String] {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let rows = try await pool.rows(sql)
        await pool.close()
        return rows
    }

    private var tables: String { Self.hot.map { "'gateway.\($0)'::regclass" }.joined(separator: ", ") }

    @Test("every hot key leads with installation_id")
    func keys() async throws {
        let keys = try await rows(
            """
            SELECT c.relname, i.indrelid::regclass::text, a.attname FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indisunique AND i.indrelid IN (\(tables)) AND a.attname <> 'installation_id'
            """)
        #expect(keys == [])
        let counted = try await rows(
            "SELECT count(DISTINCT indrelid) FROM pg_index WHERE indisprimary AND indrelid IN (\(tables))")
        #expect(counted == ["(\(Self.hot.count))"], "and each of them has a key")
    }

    @Test("no foreign key between hot tables crosses installations")
    func foreignKeys() async throws {
        let crossing = try await rows(
            """
            SELECT c.conname FROM pg_constraint c
            WHERE c.contype = 'f' AND c.conrelid IN (\(tables)) AND c.confrelid IN (\(tables))
                AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_attribute b ON b.attrelid = c.confrelid
                    WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1] AND a.attname = 'installation_id'
                        AND b.attnum = c.confkey[1] AND b.attname = 'installation_id')
            """)
        #expect(crossing == [])
    }

    @Test("an installation's rows reach beyond it only to workspaces, agents and members, which are few")
    func references() async throws {
        let beyond = try await rows(
            """
            SELECT DISTINCT c.confrelid::regclass::text FROM pg_constraint c
            WHERE c.contype = 'f' AND c.conrelid IN (\(tables)) AND c.confrelid NOT IN (\(tables)) ORDER BY 1
            """)
        #expect(beyond == ["(gateway.agent)", "(gateway.installation)", "(gateway.member)"])
    }
}
