import AsyncRuntime
import Postgres
import TestSupport
import Testing

@testable import Gateway

@Suite("Who gets a lease")
struct LeaseTests {
    @Test("a replica gets again what it holds and asks for; what another one holds it does not")
    func reacquired() async throws {
        let fixture = try await Fixture()
        func take(_ holder: String, dead: [String] = []) async throws -> [Int64] {
            try await fixture.repository.takeLeases(
                holder: holder, deadHolders: dead, appIDs: ["cli_a"], ttl: .seconds(90), grace: .seconds(90)
            ).map(\.lease.generation)
        }
        #expect(try await take("test") == [2])
        #expect(try await take("other").isEmpty)
        #expect(try await take("other", dead: ["test"]) == [3], "but what a dead one held, at once")
    }

    @Test("a lease that changes hands begins with a fresh connection state, and one that is renewed keeps it")
    func connectionState() async throws {
        let fixture = try await Fixture()
        let state = "SELECT connection_state, connection_reason, connection_since IS NOT NULL FROM gateway.installation"
        func connected(reason: String) async throws {
            try await fixture.pool.run(
                """
                UPDATE gateway.installation SET connection_state = 'backing_off', connection_reason = '\(reason)',
                    connection_since = now(), connection_retry_at = now()
                """)
        }
        try await connected(reason: "old")
        _ = try await fixture.repository.holdLeases(holder: "test", ttl: .seconds(60), within: .seconds(10))
        #expect(try await fixture.pool.rows(state) == ["(backing_off,old,t)"])
        _ = try await fixture.repository.takeLeases(
            holder: "other", deadHolders: ["test"], appIDs: ["cli_a"], ttl: .seconds(90), grace: .seconds(90))
        #expect(try await fixture.pool.rows(state) == ["(connecting,,t)"])
        for release in [
            "SELECT gateway.release_lease(1, 2, 'other')", "SELECT gateway.release_leases('again')",
            "SELECT gateway.revoke_installation('cli_a', 'command')",
        ] {
            try await connected(reason: "busy")
            try await fixture.pool.run(release)
            #expect(try await fixture.pool.rows(state) == ["(,,f)"], "\(release)")
            try await fixture.pool.run("UPDATE gateway.installation SET lease_holder = 'again'")
        }
        await fixture.pool.close()
    }

    @Test("a request for another replica's lease is withdrawn without a wait for that replica's locks")
    func withdrawn() async throws {
        let fixture = try await Fixture(apps: ["cli_a", "cli_b"])
        try await fixture.pool.run(
            "UPDATE gateway.installation SET lease_holder = 'other', wanted_by = 'test' WHERE app_id = 'cli_b'")
        try await fixture.pool.run("INSERT INTO gateway.replica VALUES ('other', now() + interval '1 hour')")
        func scan() async throws {
            _ = try await fixture.repository.takeLeases(
                holder: "test", deadHolders: [], appIDs: ["cli_a", "cli_b"], used: [fixture.lease.installation],
                ttl: .seconds(90), grace: .seconds(90))
        }
        let deadline = Deadline.after(.seconds(30))
        let other = try await Connection.connect(to: fixture.url, applicationName: "other", deadline: deadline)
        try await other.execute(
            script: "BEGIN; SELECT FROM gateway.installation WHERE app_id = 'cli_b' FOR NO KEY UPDATE", name: "hold",
            deadline: deadline)
        try await scan()
        let wanted = "SELECT wanted_by FROM gateway.installation WHERE app_id = 'cli_b'"
        #expect(try await fixture.pool.rows(wanted) == ["(test)"], "the next scan withdraws it")
        try await other.execute(script: "COMMIT", name: "release", deadline: deadline)
        await other.close()
        try await scan()
        #expect(try await fixture.pool.rows(wanted) == ["()"])
        await fixture.pool.close()
    }
}
