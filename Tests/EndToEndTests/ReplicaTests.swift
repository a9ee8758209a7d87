import AsyncRuntime
import Curl
import Foundation
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// Several daemons on one database, and many bots.
@Suite("Many bots, many replicas")
struct ReplicaTests {
    private struct Fleet {
        let simulator: LarkSimulator
        let apps: [SimulatedApp]
        let pool: Pool
        let configuration: String

        init(
            bots: Int, lease: String = #"{"ttl": "6s", "renew_every": "2s"}"#, badSecrets: Int = 0,
            timing: LarkSimulator.Timing = Stage.quick
        ) async throws {
            let apps = (0..<bots).map { SimulatedApp(id: "cli_\($0)", secret: "secret-\($0)") }
            simulator = LarkSimulator(apps: apps, timing: timing)
            try await simulator.start()
            let lark = await simulator.url
            let url = try await TestPostgres.makeDatabase()
            pool = Pool(url: url, size: 2, applicationName: "tests")
            let installations = apps.enumerated().map { index, app in
                """
                {"app_id": "\(app.id)", "app_secret": "\(index < badSecrets ? "wrong" : app.secret)", "domain": "\(lark)",
                 "workspace": "acme", "agent": "support", "access": "open"}
                """
            }
            configuration = """
                {"database_url": "\(url)", "installations": [\(installations.joined(separator: ","))],
                 "batching": {"silence_window": "300ms", "max_wait": "2s"}, "lease": \(lease),
                 "log": {"level": "debug"}, "metrics": {"listen": "127.0.0.1:0"}}
                """
            self.apps = apps
        }

        func start() async throws -> Daemon {
            let daemon = try Daemon.run(configuration)
            let isStarted = try await daemon.logs("gateway.started")
            #expect(isStarted, "\(daemon.output)")
            return daemon
        }

        /// How many bots each owner has connected, the most first.
        func connected() async throws -> [Int] {
            let sql = """
                SELECT count(*) AS bots FROM gateway.installation
                WHERE connection_state = 'connected' AND lease_expires_at > clock_timestamp()
                GROUP BY lease_holder ORDER BY 1 DESC
                """
            return try await pool.rows(sql).compactMap { Int($0.dropFirst().dropLast()) }
        }

        /// Waits until the bots are divided so, and each has its one connection.
        /// - Parameter silent: connections that a frozen process has open.
        func areConnected(_ expected: [Int], silent: Int = 0) async throws -> Bool {
            try await eventually(within: .seconds(60)) {
                guard try await connected() == expected else { return false }
                return await simulator.connectionCount == expected.reduce(silent, +)
            }
        }

        /// One message for every bot, and its ack.
        func sayToEach(_ text: String) async -> Bool {
            var ids: [String] = []
            for app in apps {
                let message = SimulatedMessage(chatID: "oc_\(app.id)", sender: "ou_1", text: text)
                await simulator.send(message, to: app.id)
                ids.append(message.messageID)
            }
            return await simulator.wait(until: .after(.seconds(60))) { [ids] simulator in
                ids.allSatisfy { id in simulator.states(of: id).contains { $0.isSettled } }
            }
        }

        func stored() async throws -> [String] {
            try await pool.rows(
                "SELECT content, count(*) FROM gateway.chat_message WHERE role = 'user' GROUP BY 1 ORDER BY 1")
        }

        /// Makes the database refuse the first times that a lease is given up.
        func refuseReleases(times: Int) async throws {
            // What a sequence gave stays given when the transaction is rolled back.
            try await pool.run("CREATE SEQUENCE public.releases")
            try await pool.run(
                """
                CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('public.releases') <= \(times) THEN RAISE EXCEPTION 'refused'; END IF;
                    RETURN NEW;
                END $$
                """)
            try await pool.run(
                """
                CREATE TRIGGER refuse BEFORE UPDATE ON gateway.installation FOR EACH ROW
                WHEN (OLD.lease_holder IS NOT NULL AND NEW.lease_holder IS NULL) EXECUTE FUNCTION public.refuse()
                """)
        }

        func end(_ daemons: Daemon...) async {
            for daemon in daemons { await daemon.killNow() }
            await simulator.stop()
            await pool.close()
        }
    }

    @Test("replicas share the bots; one that stops hands its over, one that is killed or frozen loses its")
    func sharing() async throws {
        let fleet = try await Fleet(bots: 12)
        let first = try await fleet.start()
        #expect(try await fleet.areConnected([12]))
        let second = try await fleet.start()
        let third = try await fleet.start()
        #expect(try await fleet.areConnected([4, 4, 4]))
        // Eight had to move; while both newcomers ask at once, a few more may.
        let replicas = [first, second, third]
        let areLogged = try await eventually {
            replicas.map { $0.events("lease.handed_over").count }.reduce(0, +) >= 8
        }
        #expect(areLogged)
        let moved = replicas.map { $0.events("lease.handed_over").count }.reduce(0, +)
        #expect((8...12).contains(moved), "\(moved) handovers")
        #expect(replicas.allSatisfy { $0.events("lease.lost").isEmpty })
        #expect(await fleet.sayToEach("one"))

        #expect(await first.stop() == 0)
        #expect(try await fleet.areConnected([6, 6]))
        #expect(await fleet.sayToEach("two"))

        // Nobody can tell it from one that is dead, until its leases run out.
        second.signal(SIGSTOP)
        #expect(try await fleet.areConnected([12], silent: 6))
        #expect(await fleet.sayToEach("three"))
        second.signal(SIGCONT)
        #expect(try await second.logs("lease.lost", count: 6))
        #expect(try await fleet.areConnected([6, 6]))
        #expect(await fleet.sayToEach("four"))

        await third.killNow()
        #expect(try await fleet.areConnected([12]))
        #expect(await fleet.sayToEach("five"))
        #expect(
            try await fleet.stored() == ["five", "four", "one", "three", "two"].map { "(\($0),12)" },
            "each message of each bot is stored once")
        await fleet.end(second)
    }

    /// Of what a stopped replica lets go, the others want the same bots first; whoever comes second must not wait for
    /// its next look.
    @Test("who takes over learns of a release, all of it, long before its next look")
    func wakeUp() async throws {
        let fleet = try await Fleet(bots: 24, lease: #"{"ttl": "3h", "renew_every": "1h"}"#)
        var daemons = [try await fleet.start()]
        #expect(try await fleet.areConnected([24]))
        for share in [[12, 12], [8, 8, 8], [6, 6, 6, 6]] {
            daemons.append(try await fleet.start())
            #expect(try await fleet.areConnected(share))
        }
        for share in [[8, 8, 8], [12, 12], [24]] {
            #expect(await daemons.removeFirst().stop() == 0)
            #expect(try await fleet.areConnected(share))
        }
        #expect(await fleet.sayToEach("one"))
        #expect(try await fleet.stored() == ["(one,24)"])
        await fleet.end(daemons[0])
    }

    @Test("a bot that is refused disturbs no other, and status, metrics and log say what each one does")
    func supervision() async throws {
        let fleet = try await Fleet(bots: 4, badSecrets: 1)
        let daemon = try await fleet.start()
        #expect(try await fleet.areConnected([3]))
        let isRefused = try await eventually {
            try await fleet.pool.rows(
                "SELECT app_id FROM gateway.installation WHERE connection_state = 'refused'") == ["(cli_0)"]
        }
        #expect(isRefused)
        #expect(try await daemon.logged("installation.refused").map { $0["app_id"].string } == ["cli_0"])
        let status = try Daemon(["status", "--config", try Daemon.file(fleet.configuration)])
        #expect(await status.ended() == 1)
        #expect(status.output.contains(/needs a person: cli_0: refused for \d+s.*authentication failed/))
        #expect(status.output.contains(/cli_0 +acme\/support +default +refused/))
        #expect(
            status.output.contains(
                /cli_0 is owned by .*, refused for \d+s, again in \d+s, last seen \d+s ago: .*authentication failed/))
        #expect(status.output.contains(/cli_1 +acme\/support +default +connected/))
        let port = daemon.events("metrics.listening").first?["port"].integer ?? 0
        let url = try #require(URL(string: "http://127.0.0.1:\(port)/metrics"))
        let metrics = String(decoding: try await HTTPExchange().send("GET", url).body, as: UTF8.self)
        #expect(metrics.contains(#"lark_gateway_installations{state="connected"} 3"#))
        #expect(metrics.contains(#"lark_gateway_installations{state="refused"} 1"#))
        await fleet.end(daemon)
    }

    @Test("a handover that the database refuses leaves the bot where it was, connected, until one succeeds")
    func refusedHandover() async throws {
        let fleet = try await Fleet(bots: 2)
        let first = try await fleet.start()
        #expect(try await fleet.areConnected([2]))
        try await fleet.refuseReleases(times: 2)
        let second = try await fleet.start()
        #expect(try await first.logs("database.unavailable"))
        #expect(first.events("database.unavailable").map { $0["during"].string } == ["release_lease"])
        #expect(await fleet.sayToEach("one"))
        #expect(try await fleet.areConnected([1, 1]))
        #expect(try await first.logged("lease.handed_over").count == 1)
        #expect(try await first.logged("database.recovered").map { $0["failures"].integer } == [2])
        #expect(await fleet.sayToEach("two"))
        #expect(try await fleet.stored() == ["(one,2)", "(two,2)"])
        await fleet.end(first, second)
    }

    @Test("a stop whose release of the leases fails tries again, says so, and leaves no lease behind")
    func refusedRelease() async throws {
        let fleet = try await Fleet(bots: 2)
        let daemon = try await fleet.start()
        #expect(try await fleet.areConnected([2]))
        try await fleet.refuseReleases(times: 2)
        #expect(await daemon.stop() == 0)
        #expect(daemon.events("database.unavailable").map { $0["during"].string } == ["release_leases"])
        #expect(daemon.events("database.recovered").map { $0["failures"].integer } == [2])
        #expect(
            try await fleet.pool.rows("SELECT count(*) FROM gateway.installation WHERE lease_holder IS NULL") == ["(2)"]
        )
        await fleet.end()
    }

    @Test("D1: a hundred bots are connected, at most twenty handshakes at a time")
    func start() async throws {
        var timing = Stage.quick
        timing.endpointDelay = .milliseconds(100)
        let fleet = try await Fleet(bots: 100, timing: timing)
        let daemon = try await fleet.start()
        #expect(try await fleet.areConnected([100]))
        #expect((2...20).contains(await fleet.simulator.mostHandshakes))
        let areLogged = try await eventually {
            daemon.events("connection.state").filter { $0["state"].string == "connected" }.count == 100
        }
        #expect(areLogged)
        await fleet.end(daemon)
    }

    @Test("what nobody announces is seen at the next look: a bot that is revoked, and one that is new")
    func unannounced() async throws {
        let fleet = try await Fleet(bots: 3)
        let daemon = try await fleet.start()
        #expect(try await fleet.areConnected([3]))
        try await fleet.pool.run("ALTER TABLE gateway.installation DISABLE TRIGGER USER")
        try await fleet.pool.run("UPDATE gateway.installation SET status = 'revoked' WHERE app_id = 'cli_1'")
        #expect(await fleet.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 2 })
        try await fleet.pool.run("UPDATE gateway.installation SET status = 'active' WHERE app_id = 'cli_1'")
        #expect(try await fleet.areConnected([3]))
        await fleet.end(daemon)
    }

    @Test("D13: a bot that is revoked is closed at once, and connected again when it is active")
    func revoked() async throws {
        let fleet = try await Fleet(bots: 3)
        let daemon = try await fleet.start()
        #expect(try await fleet.areConnected([3]))
        try await fleet.pool.run("UPDATE gateway.installation SET status = 'revoked' WHERE app_id = 'cli_1'")
        #expect(try await daemon.logs("lease.lost", within: .seconds(10)))
        #expect(daemon.events("lease.lost").first?["app_id"].string == "cli_1")
        #expect(await fleet.simulator.wait(until: .after(.seconds(10))) { $0.connectionCount == 2 })
        try await fleet.pool.run("UPDATE gateway.installation SET status = 'active' WHERE app_id = 'cli_1'")
        #expect(try await fleet.areConnected([3]))
        #expect(await fleet.sayToEach("back"))
        await fleet.end(daemon)
    }
}
