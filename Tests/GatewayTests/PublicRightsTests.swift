import Postgres
import Store
import TestSupport
import Testing

@Suite("Rights in the schema")
struct PublicRightsTests {
    @Test("PUBLIC has none: another role of the server reads, writes and calls nothing")
    func none() async throws {
        let fixture = try await Fixture()
        let pool = fixture.pool
        let granted = """
            SELECT 'schema', n.nspname FROM pg_namespace n, aclexplode(n.nspacl) a
            WHERE n.nspname = 'gateway' AND a.grantee = 0
            UNION ALL
            SELECT 'relation', c.relname FROM pg_class c, aclexplode(c.relacl) a
            WHERE c.relnamespace = 'gateway'::regnamespace AND a.grantee = 0
            UNION ALL
            SELECT 'function', p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            WHERE p.pronamespace = 'gateway'::regnamespace AND a.grantee = 0
            """
        #expect(try await pool.rows(granted) == [])

        let role = "stranger of " + (try await pool.rows("SELECT current_database()")[0].dropFirst().dropLast())
        try await pool.run(#"CREATE ROLE "\#(role)" LOGIN"#)
        let stranger = Pool(url: fixture.url + " user='\(role)'", size: 1)
        for sql in [
            "SELECT FROM gateway.installation", "SELECT FROM gateway.chat_message", "DELETE FROM gateway.outbox",
            "SELECT gateway.claim_task('default', 'w', '1 minute')", "CREATE TABLE gateway.mine (a int)",
        ] {
            let error = await #expect(throws: PostgresError.self) { try await stranger.run(sql) }
            guard case .statement(let refusal) = error else {
                Issue.record("\(sql): \(String(describing: error))")
                continue
            }
            #expect(refusal.sqlState == "42501", "\(sql): \(refusal)")
        }
        await stranger.close()
        try await pool.run(#"DROP ROLE "\#(role)""#)
    }
}
