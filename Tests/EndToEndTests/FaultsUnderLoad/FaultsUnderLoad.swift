import AsyncRuntime
import Foundation
import Gateway
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// `scripts/faults` runs all of it at full length; `scripts/test` two rounds of each.
@Suite("Faults under load", .serialized)
struct FaultsUnderLoad {
    @Test("I4: kill -9 of the gateway at random moments")
    func killedGateway() async throws {
        let gateway = try await LoadedGateway("kill -9 of the gateway")
        try await gateway.eachRound(FaultSettings.rounds(full: 100)) { gateway in
            await gateway.daemon.killNow()
            try await gateway.restartDaemon()
        }
        try await gateway.end()
    }

    @Test(
        "I7, D17: a frozen gateway is taken over, and events come on both connections; it wakes and changes nothing",
        .enabled(if: FaultSettings.isFull, "takes a minute; scripts/faults"))
    func frozenGateway() async throws {
        let gateway = try await LoadedGateway(
            "frozen gateway", extra: #", "lease": {"ttl": "3s", "renew_every": "1s"}"#)
        var (owner, standby) = (gateway.daemon, try Daemon.run(gateway.configuration))
        try await gateway.eachRound(FaultSettings.rounds(full: 4)) { gateway in
            let opened = standby.events("connection.opened").count
            owner.signal(SIGSTOP)
            let isTakenOver = try await standby.logs("connection.opened", count: opened + 1, within: .seconds(90))
            #expect(isTakenOver)
            try await gateway.moreMessages(100)
            owner.signal(SIGCONT)
            (owner, standby) = (standby, owner)
        }
        #expect(gateway.daemon.events("lease.lost").count > 0)
        await owner.killNow()
        await standby.killNow()
        try await gateway.end()
    }

    @Test("a rolling restart of three replicas with 50 bots, under 500 messages/s")
    func rollingRestart() async throws {
        let apps = (0..<50).map { SimulatedApp(id: "cli_\($0)", secret: "secret-\($0)") }
        let gateway = try await LoadedGateway(
            "rolling restart", apps: apps, replicas: 3, pause: .milliseconds(50)...(.milliseconds(150)),
            extra: #", "lease": {"ttl": "9s", "renew_every": "3s"}"#)
        try await gateway.eachRound(FaultSettings.isFull ? 5 : 1) { gateway in
            try await gateway.moreMessages(500)
            try await gateway.restartEachReplica()
            try await gateway.moreMessages(500)
        }
        try await gateway.end()
    }

    @Test("a worker that is killed with tasks claimed: they run again when the claim has run out, with one reply each")
    func killedWorker() async throws {
        let gateway = try await LoadedGateway("kill -9 of the worker", claimLease: "1s", runTime: "0.2")
        try await gateway.eachRound(FaultSettings.rounds(full: 20)) { gateway in
            try await gateway.killWorkerAmidTasks()
        }
        let again = "SELECT count(*) > 0 FROM gateway.agent_task WHERE attempt > 1 AND status = 'completed'"
        #expect(try await gateway.stage.rows(again) == ["(t)"])
        try await gateway.end()
    }

    @Test("Postgres crashes and comes back")
    func crashedPostgres() async throws {
        let gateway = try await LoadedGateway("crash of Postgres")
        try await gateway.eachRound(FaultSettings.rounds(full: 20)) { gateway in
            try await gateway.server.stop(mode: .immediate, deadline: .after(.seconds(30)))
            try await gateway.server.start(deadline: .after(.seconds(60)))
        }
        try await gateway.end()
    }

    @Test("Postgres stays away for long")
    func absentPostgres() async throws {
        var timing = LoadedGateway.timing
        timing.retryDelay = .seconds(1)
        let gateway = try await LoadedGateway("Postgres away", timing: timing)
        try await gateway.eachRound(1) { gateway in
            try await gateway.server.stop(mode: .immediate, deadline: .after(.seconds(30)))
            // At 50 chats with a message every 700 ms, some 30 s; the short form 3 s.
            try await gateway.moreMessages(FaultSettings.isFull ? 2_100 : 210)
            try await gateway.server.start(deadline: .after(.seconds(60)))
        }
        #expect(gateway.daemon.events("connection.closed").isEmpty, "D9: the connection stays")
        try await gateway.end()
    }

    @Test(
        "the disk is full: acked 500, nothing lost, and it goes on by itself when there is room",
        .enabled(if: SmallDisk.isPossible, "mounting a tmpfs takes root"))
    func fullDisk() async throws {
        let disk = try await SmallDisk.make(mebibytes: 64)
        let gateway = try await LoadedGateway(
            "full disk",
            prepare: { server in
                chown(disk.path, try #require(getpwnam("postgres")).pointee.pw_uid, gid_t.max)
                let pool = Pool(url: TestPostgres.url(server, "postgres"), size: 1)
                try await pool.run("CREATE TABLESPACE small LOCATION '\(disk.path)'")
                try await pool.run("ALTER DATABASE \(PrivatePostgres.databaseName) SET TABLESPACE small")
                await pool.close()
            })
        try await gateway.eachRound(FaultSettings.rounds(full: 10)) { gateway in
            try disk.fill()
            let daemon = gateway.daemon
            let isFull = try await eventually {
                daemon.events("ingest.failed").contains { $0["error"].string?.contains("53100") == true }
            }
            #expect(isFull, "the disk got full")
            try await gateway.moreMessages(50)
            try disk.free()
        }
        #expect(gateway.daemon.events("ingest.recovered").count > 0)
        try await gateway.end()
        await disk.remove()
    }
}
