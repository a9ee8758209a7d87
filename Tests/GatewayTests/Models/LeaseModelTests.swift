import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// Replicas that come, look, renew, hand over, stop and die in any order, against the real statements.
@Suite("Models: leases of many replicas")
struct LeaseModelTests {
    private struct World {
        let repository: Repository
        let apps: [String]
        var replicas: [String: Set<Lease>] = [:]
        var next = 0
        var handovers = 0

        private let ttl: Duration = .seconds(3_600)

        mutating func join() -> String {
            next += 1
            replicas["r\(next)"] = []
            return "r\(next)"
        }

        /// Takes what is free; the model believes what the database says.
        mutating func scan(_ replica: String, grace: Duration) async throws {
            // It may have lost some of it without knowing.
            let held = replicas[replica] ?? []
            let taken = try await repository.takeLeases(
                holder: replica, deadHolders: [], appIDs: apps, used: held.map(\.installation), ttl: ttl, grace: grace)
            replicas[replica] = held.union(taken.map(\.lease))
        }

        /// Renews, drops what was lost, and gives what is wanted, most of the time.
        mutating func hold(_ replica: String, handsOver: Bool) async throws {
            let held = try await repository.holdLeases(holder: replica, ttl: ttl, within: .seconds(20))
            var mine = (replicas[replica] ?? []).intersection(held.map(\.lease))
            for wanted in held where wanted.isWanted && handsOver && mine.remove(wanted.lease) != nil {
                try await repository.releaseLease(wanted.lease, holder: replica)
                handovers += 1
            }
            replicas[replica] = mine
        }

        mutating func stop(_ replica: String) async throws {
            try await repository.releaseLeases(holder: replica)
            replicas[replica] = nil
        }

        /// It says nothing more, and its time passes.
        mutating func kill(_ replica: String) async throws {
            replicas[replica] = nil
            try await repository.pool.run(
                "UPDATE gateway.installation SET lease_expires_at = now() - interval '1 s' WHERE lease_holder = $1",
                [.text(replica)])
            try await repository.pool.run(
                "UPDATE gateway.replica SET expires_at = now() - interval '1 s' WHERE holder = $1", [.text(replica)])
        }

        func setStatus(_ status: String, of app: String) async throws {
            try await repository.pool.run(
                "UPDATE gateway.installation SET status = $1 WHERE app_id = $2", [.text(status), .text(app)])
        }
    }

    @Test(
        "whatever comes and goes: in the end each installation has one owner, none has over its share, and nothing moves"
    )
    func sharing() async throws {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 2)
        let repository = Repository(pool: pool)
        try await pool.run("INSERT INTO gateway.workspace (name) VALUES ('w')")
        try await pool.run("INSERT INTO gateway.agent (workspace_id, name) SELECT id, 'a' FROM gateway.workspace")
        try await ModelSeeds.tryAll(150) { seed, random in
            try await pool.run("TRUNCATE gateway.replica")
            try await pool.run("DELETE FROM gateway.installation")
            let apps = (0..<Int.random(in: 1...20, using: &random)).map { "cli_\(seed)_\($0)" }
            try await pool.run(
                """
                INSERT INTO gateway.installation (app_id, workspace_id, agent_id, domain, locale, access)
                SELECT app, a.workspace_id, a.id, 'https://x', 'en', 'open' FROM unnest($1::text[]) app, gateway.agent a
                """, [.textArray(apps)])
            var world = World(repository: repository, apps: apps)
            for _ in 0..<30 { try await step(&world, &random) }
            for app in apps { try await world.setStatus("active", of: app) }
            if world.replicas.isEmpty { _ = world.join() }
            try await settle(&world, pool)
        }
        await pool.close()
    }

    @Test("replicas that look at the same moment leave nothing free: no look is wasted on what another one takes")
    func looksAtOnce() async throws {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 8)
        let repository = Repository(pool: pool)
        try await pool.run("INSERT INTO gateway.workspace (name) VALUES ('w')")
        try await pool.run("INSERT INTO gateway.agent (workspace_id, name) SELECT id, 'a' FROM gateway.workspace")
        let apps = (0..<24).map { "cli_\($0)" }
        try await pool.run(
            """
            INSERT INTO gateway.installation (app_id, workspace_id, agent_id, domain, locale, access)
            SELECT app, a.workspace_id, a.id, 'https://x', 'en', 'open' FROM unnest($1::text[]) app, gateway.agent a
            """, [.textArray(apps)])
        let replicas = (0..<6).map { "r\($0)" }
        @Sendable func look(_ replica: String) async throws -> Int {
            try await repository.takeLeases(
                holder: replica, deadHolders: [], appIDs: apps, used: [], ttl: .seconds(3_600), grace: .seconds(3_600)
            ).count
        }
        for _ in 0..<30 {
            // Each is known, and holds nothing.
            for replica in replicas { _ = try await look(replica) }
            try await pool.run(
                "UPDATE gateway.installation SET lease_holder = NULL, lease_expires_at = NULL, wanted_by = NULL")
            let taken = try await withThrowingTaskGroup(of: Int.self) { group in
                for replica in replicas { group.addTask { try await look(replica) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(taken == Array(repeating: 4, count: 6))
        }
        await pool.close()
    }

    private func step(_ world: inout World, _ random: inout SeededGenerator) async throws {
        let replica = world.replicas.keys.sorted().randomElement(using: &random)
        let grace: Duration = Bool.random(using: &random) ? .zero : .seconds(3_600)
        switch (Int.random(in: 0..<10, using: &random), replica) {
        case (0, _) where world.replicas.count < 5, (_, nil): try await world.scan(world.join(), grace: grace)
        case (1, let replica?): try await world.stop(replica)
        case (2, let replica?): try await world.kill(replica)
        case (3, _):
            let app = world.apps.randomElement(using: &random) ?? ""
            try await world.setStatus(Bool.random(using: &random) ? "active" : "revoked", of: app)
        case (4...6, let replica?): try await world.hold(replica, handsOver: Int.random(in: 0..<4, using: &random) > 0)
        case (_, let replica?): try await world.scan(replica, grace: grace)
        }
        try await expectOneOwner(world)
    }

    /// Everybody looks and renews, some times over.
    private func settle(_ world: inout World, _ pool: Pool) async throws {
        let before = world.handovers
        for _ in 0..<6 {
            for replica in world.replicas.keys.sorted() {
                try await world.scan(replica, grace: .seconds(3_600))
                try await world.hold(replica, handsOver: true)
            }
        }
        try Deviation.unless(world.handovers - before <= world.apps.count, "something moved twice")
        let share = (world.apps.count + world.replicas.count - 1) / world.replicas.count
        let counts = world.replicas.mapValues(\.count)
        try Deviation.unless(counts.values.reduce(0, +) == world.apps.count, "\(counts) of \(world.apps.count)")
        try Deviation.unless(counts.values.allSatisfy { $0 <= share + 1 }, "\(counts), and the share is \(share)")
        try await expectOneOwner(world)
        let (owners, handovers) = (world.replicas, world.handovers)
        for replica in world.replicas.keys.sorted() {
            try await world.scan(replica, grace: .zero)
            try await world.hold(replica, handsOver: true)
        }
        try Deviation.unless(
            world.replicas == owners && world.handovers == handovers,
            "\(counts) became \(world.replicas.mapValues(\.count))")
    }

    /// What the fence lets write: of all the leases that replicas believe in, one per installation at most.
    private func expectOneOwner(_ world: World) async throws {
        let rows = try await world.repository.pool.query(
            Statement(name: "generations", sql: "SELECT id, lease_generation FROM gateway.installation"),
            deadline: .after(.seconds(20)))
        var generations: [Int64: Int64] = [:]
        for row in rows { generations[try row.value("id")] = try row.value("lease_generation") }
        for (installation, generation) in generations {
            let lease = Lease(installation: InstallationID(rawValue: installation), generation: generation)
            try Deviation.unless(
                world.replicas.values.count { $0.contains(lease) } <= 1, "two believe in \(lease)")
        }
    }
}
