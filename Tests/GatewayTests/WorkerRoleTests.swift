import AsyncRuntime
import Foundation
import Postgres
import Store
import TestSupport
import Testing

@Suite("S4: a worker's role can work, and nothing else")
struct WorkerRoleTests {
    /// A database with a message that waits for a run, and a worker role of the database's own.
    private struct Place {
        let fixture: Fixture
        let role: String
        /// Connects as the worker role.
        let worker: Repository
        let session: SessionKey

        init(runtime: String? = "default") async throws {
            fixture = try await Fixture()
            session = try #require(try await fixture.ingest(Fixture.message("om_1", "hello"))[0].session)
            try await fixture.flush(session)
            role = "agents of " + (try await fixture.pool.rows("SELECT current_database()")[0].dropFirst().dropLast())
            try await fixture.pool.run(#"CREATE ROLE "\#(role)" LOGIN"#)
            if let runtime { try await fixture.repository.addWorkerRole(role, runtime: runtime) }
            worker = Repository(pool: Pool(url: fixture.url + " user='\(role)'", size: 2))
        }

        func end() async throws {
            await worker.pool.close()
            _ = try await fixture.repository.removeWorkerRole(role, runtime: nil)
            try await fixture.pool.run(#"DROP ROLE "\#(role)""#)
        }
    }

    private static let own = WorkerIdentity(name: "w1", token: WorkerIdentity.randomToken())

    private func code(_ body: () async throws -> Void) async -> String? {
        do {
            try await body()
            return nil
        } catch PostgresError.statement(let error) {
            return error.sqlState
        } catch {
            return "\(error)"
        }
    }

    @Test("it claims, extends, reports, completes, fails and returns tasks of its runtime")
    func works() async throws {
        let place = try await Place()
        let worker = place.worker
        let first = try #require(
            try await worker.claimTask(runtime: "default", worker: Self.own, lease: .seconds(60)))
        #expect(place.fixture.contents(first) == ["hello"])
        try await worker.extendTask(first.id, worker: Self.own)
        try await worker.reportProgress(first.id, worker: Self.own, text: "half")
        try await worker.returnClaims(worker: Self.own)
        let again = try #require(
            try await worker.claimTask(runtime: "default", worker: Self.own, lease: .seconds(60)))
        #expect(again.id == first.id)
        try await worker.completeTask(again.id, worker: Self.own, reply: "hi")
        try await place.fixture.ingest(Fixture.message("om_2", "and?"))
        try await place.fixture.flush(place.session)
        let last = try #require(try await worker.claimTask(runtime: "default", worker: Self.own, lease: .seconds(60)))
        try await worker.failTask(last.id, worker: Self.own, error: "no idea")
        #expect(
            try await place.fixture.pool.rows("SELECT kind FROM gateway.outbox ORDER BY seq") == [
                "(reply)", "(notice)",
            ])
        try await place.end()
    }

    @Test("it reads and writes no table, and calls no other function")
    func nothingElse() async throws {
        let place = try await Place()
        let tables = try await place.fixture.pool.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind IN ('r', 'S') ORDER BY 1"
        )
        #expect(tables.count > 15)
        for table in tables.map({ $0.dropFirst().dropLast() }) {
            for statement in ["SELECT FROM gateway.\(table)", "DELETE FROM gateway.\(table)"] {
                let refused = await code { try await place.worker.pool.run(statement) }
                #expect(["42501", "42809"].contains(refused), "\(statement): \(refused ?? "allowed")")
            }
        }
        let callable = try await place.worker.pool.rows(
            """
            SELECT p.proname FROM pg_proc p
            WHERE p.pronamespace = 'gateway'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1
            """)
        #expect(
            callable == [
                "(claim_task)", "(complete_task)", "(extend_task)", "(fail_task)", "(report_progress)",
                "(return_claims)",
            ])
        #expect(await code { try await place.worker.addWorkerRole(place.role, runtime: "other") } == "42501")
        #expect(await code { try await place.worker.pool.run("CREATE TABLE gateway.mine (a int)") } == "42501")
        try await place.end()
    }

    @Test("it claims nothing of a runtime that it was not given, and nothing at all when that is taken back")
    func runtimes() async throws {
        let place = try await Place(runtime: "elsewhere")
        func claim() async -> String? {
            await code {
                let task = try await place.worker.claimTask(
                    runtime: "default", worker: Self.own, lease: .seconds(60))
                #expect(task != nil)
            }
        }
        #expect(await claim() == "42501")
        try await place.fixture.repository.addWorkerRole(place.role, runtime: "default")
        #expect(await claim() == nil)
        #expect(try await place.fixture.repository.removeWorkerRole(place.role, runtime: "default") == 1)
        #expect(await claim() == "42501")
        #expect(
            try await place.worker.claimTask(runtime: "elsewhere", worker: Self.own, lease: .seconds(60)) == nil)
        #expect(try await place.fixture.repository.removeWorkerRole(place.role, runtime: nil) == 1)
        #expect(try await place.worker.pool.rows("SELECT has_schema_privilege('gateway', 'USAGE')") == ["(f)"])
        #expect(try await place.fixture.repository.removeWorkerRole(place.role, runtime: nil) == 0)
        try await place.end()
    }

    @Test("another worker's name is not enough to end its claim, nor is another token; none at all is refused")
    func tokens() async throws {
        let place = try await Place()
        let task = try #require(
            try await place.worker.claimTask(runtime: "default", worker: Self.own, lease: .seconds(60)))
        let thief = WorkerIdentity(name: "w1", token: WorkerIdentity.randomToken())
        let nameless = WorkerIdentity(name: "w1")
        for (identity, repository, expected) in [
            (thief, place.worker, "GW001"), (nameless, place.worker, "22023"),
            (WorkerIdentity(name: "w1", token: "short"), place.worker, "22023"),
            (nameless, place.fixture.repository, "GW001"), (thief, place.fixture.repository, "GW001"),
        ] {
            let codes = [
                await code { try await repository.completeTask(task.id, worker: identity, reply: "mine") },
                await code { try await repository.failTask(task.id, worker: identity, error: "mine") },
                await code { try await repository.extendTask(task.id, worker: identity) },
                await code { try await repository.reportProgress(task.id, worker: identity, text: "mine") },
            ]
            #expect(Set(codes) == [expected])
            let returned = await code { try await repository.returnClaims(worker: identity) }
            #expect(returned == (expected == "22023" ? "22023" : nil))
        }
        #expect(
            await code {
                _ = try await place.worker.claimTask(runtime: "default", worker: nameless, lease: .seconds(60))
            } == "22023")
        #expect(
            try await place.fixture.pool.rows("SELECT status, worker, claim_key IS NOT NULL FROM gateway.agent_task")
                == ["(claimed,w1,t)"])
        #expect(
            try await place.fixture.pool.rows(
                "SELECT count(*) FROM gateway.agent_task t WHERE t::text LIKE '%' || $1 || '%'",
                [.text(Self.own.token)]) == ["(0)"], "the token itself is kept nowhere")
        try await place.worker.completeTask(task.id, worker: Self.own, reply: "mine")
        try await place.end()
    }

    @Test(
        "the members of a group that was added may work; who has the owner's rights, and who is not there, is refused")
    func groups() async throws {
        let place = try await Place(runtime: nil)
        let group = place.role + " group"
        try await place.fixture.pool.run(#"CREATE ROLE "\#(group)""#)
        try await place.fixture.pool.run(#"GRANT "\#(group)" TO "\#(place.role)""#)
        try await place.fixture.repository.addWorkerRole(group, runtime: "default")
        let task = try await place.worker.claimTask(runtime: "default", worker: Self.own, lease: .seconds(60))
        #expect(task != nil)
        #expect(
            await code { try await place.fixture.repository.addWorkerRole("nobody there", runtime: "default") }
                == "42704")
        let owner = try await place.fixture.pool.rows("SELECT current_user")[0].dropFirst().dropLast()
        #expect(
            await code { try await place.fixture.repository.addWorkerRole(String(owner), runtime: "default") }
                == "22023")
        #expect(
            try await place.fixture.repository.workerRoles().map { [$0.name, $0.runtime] } == [[group, "default"]])
        _ = try await place.fixture.repository.removeWorkerRole(group, runtime: nil)
        try await place.fixture.pool.run(#"DROP ROLE "\#(group)""#)
        try await place.end()
    }

    @Test("a function that an upgrade makes anew is the worker's again, and PUBLIC's never")
    func upgrades() async throws {
        let place = try await Place()
        try await place.fixture.pool.run("DROP FUNCTION gateway.extend_task(bigint, text, text)")
        try await place.fixture.pool.run("DELETE FROM gateway.definition WHERE name IN ('extend_task', 'link_state')")
        try await place.fixture.pool.run("DROP FUNCTION gateway.link_state(gateway.binding_token)")
        try await GatewaySchema.migrator.apply(to: place.fixture.pool, deadline: .after(.seconds(30)))
        let task = try #require(
            try await place.worker.claimTask(runtime: "default", worker: Self.own, lease: .seconds(60)))
        try await place.worker.extendTask(task.id, worker: Self.own)
        #expect(
            try await place.fixture.pool.rows(
                """
                SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                WHERE p.pronamespace = 'gateway'::regnamespace AND a.grantee = 0
                """) == [])
        try await place.end()
    }

    @Test("S8: every function pins its search_path, so what another role puts into public is never called")
    func searchPath() async throws {
        let place = try await Place()
        let pool = place.fixture.pool
        #expect(
            try await pool.rows(
                """
                SELECT p.proname FROM pg_proc p
                WHERE p.pronamespace = 'gateway'::regnamespace AND p.prosqlbody IS NULL
                    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
                """) == [])
        // As clusters before Postgres 15 have it.
        try await pool.run("GRANT CREATE ON SCHEMA public TO PUBLIC")
        for signature in ["nextval(text) RETURNS bigint", "to_timestamp(numeric) RETURNS timestamptz"] {
            try await place.worker.pool.run(
                "CREATE FUNCTION public.\(signature) LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END'")
        }
        let stored = try await place.fixture.ingest(Fixture.message("om_2", "to a new chat", chat: "oc_2"))
        #expect(stored[0].session != nil)
        try await pool.run(#"DROP OWNED BY "\#(place.role)""#)
        try await place.fixture.repository.addWorkerRole(place.role, runtime: "default")
        try await place.end()
    }
}
