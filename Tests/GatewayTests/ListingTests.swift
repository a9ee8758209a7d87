import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("S26: what a list reads")
struct ListingTests {
    @Test("is no more than its limit, also of four thousand members; how many there are is counted")
    func limits() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b", "cli_c"])
        try await fixture.pool.run(
            """
            WITH m AS (
                INSERT INTO gateway.member (workspace_id, name)
                SELECT w.id, 'm' || lpad(n::text, 4, '0') FROM gateway.workspace w, generate_series(1, 4000) n
                RETURNING workspace_id, id
            )
            INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
            SELECT i.id, 'ou_' || m.id, m.workspace_id, m.id FROM m, gateway.installation i WHERE i.app_id <> 'cli_c'
            """)
        let members = try await fixture.repository.members(limit: 100)
        #expect(members.rows.count == 100 && members.total == 4_000 && members.rest == 3_900)
        #expect(members.rows.first?.name == "m0001" && members.rows.allSatisfy { $0.bots == 2 })
        #expect(try await fixture.repository.members(limit: 10_000).rest == 0)
        let installations = try await fixture.repository.installationStatuses(limit: 2)
        #expect(installations.rows.map(\.appID) == ["cli_a", "cli_b"] && installations.rest == 1)
        #expect(try await fixture.repository.agents(limit: 1).rest == 0)
        try await fixture.ingest(Fixture.message("om_1", "/issue one"), Fixture.message("om_2", "/issue two"))
        #expect(try await fixture.repository.issues(of: "acme", limit: 1).rest == 1)
        #expect(try await fixture.repository.outbox(isDead: false, of: nil, limit: 1).rest == 1)
        await fixture.pool.close()
    }
}
