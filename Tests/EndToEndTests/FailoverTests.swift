import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("A database that takes no writes, through the real daemon")
struct FailoverTests {
    private func isAcked(_ id: String, last code: Int, by stage: Stage) async -> Bool {
        await stage.simulator.wait(until: .after(.seconds(30))) { $0.states(of: id).first?.acks.last == code }
    }

    @Test("R2: the primary becomes a standby, later its address moves: not ready until then, and all is stored once")
    func failover() async throws {
        let old = try await TestPostgres.makeServer()
        let address = try MovableAddress(of: old.url)
        let stage = try await Stage(url: address.url)
        let daemon = try await stage.start(stage.configuration())
        let worker = try await stage.startWorker()
        #expect(await stage.acked(await stage.say("before"), [200]))
        #expect(await stage.sent(1).count == 1)
        #expect(try await daemon.readiness() == 200)

        let new = try await TestPostgres.failOver(from: old)
        #expect(try await eventually { try await daemon.readiness() == 503 })
        let meanwhile = await stage.say("meanwhile")
        #expect(await isAcked(meanwhile, last: 500, by: stage))
        let configuration = try Daemon.file(stage.configuration())
        let check = try Daemon(["check", "--config", configuration])
        #expect(await check.ended() == 1)
        #expect(check.output.contains("FAIL  database: the server is a standby"), "\(check.output)")
        let status = try Daemon(["status", "--config", configuration])
        #expect(await status.ended() == 0, "reading a standby is good")
        #expect(status.output.contains("cli_test"), "\(status.output)")

        try address.move(to: new.url)
        #expect(await isAcked(meanwhile, last: 200, by: stage), "\(daemon.output.suffix(4000))")
        #expect(try await daemon.readiness() == 200)
        #expect(await stage.acked(await stage.say("after"), [200]), "nothing has to come again any more")
        // Two of them may be one run.
        let areAnswered = await stage.simulator.wait(until: .after(.seconds(30))) { simulator in
            let replies = simulator.sentMessages.map(\.content).joined()
            return ["before", "meanwhile", "after"].allSatisfy { replies.contains($0) }
        }
        #expect(areAnswered)
        let primary = Pool(url: new.url, size: 1, applicationName: "tests")
        #expect(
            try await primary.rows("SELECT content FROM gateway.chat_message WHERE role = 'user' ORDER BY position")
                == ["(before)", "(meanwhile)", "(after)"])
        let connections = """
            SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE 'lark-gateway%' ORDER BY 1
            """
        let areListening = try await eventually {
            try await primary.rows(connections)
                == ["(lark-gateway)", #"("lark-gateway listen")"#, #"("lark-gateway worker")"#]
        }
        #expect(areListening)
        let standby = Pool(url: old.url, size: 1, applicationName: "tests")
        #expect(try await eventually { try await standby.rows(connections).isEmpty })
        for pool in [primary, standby] { await pool.close() }
        await stage.end(daemon, worker)
        for server in [old, new] { try await server.stop(mode: .immediate, deadline: .after(.seconds(30))) }
    }

    @Test("R2: while the database is read only, the daemon is not ready and acks 500; afterwards it goes on")
    func readOnly() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        #expect(try await daemon.readiness() == 200)
        let name = try await stage.rows("SELECT current_database()")[0].dropFirst().dropLast()
        try await stage.pool.run("ALTER DATABASE \(name) SET default_transaction_read_only = on")
        try await stage.pool.run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'lark-gateway%'
            """)
        #expect(try await eventually { try await daemon.readiness() == 503 })
        let id = await stage.say("keep me")
        #expect(await isAcked(id, last: 500, by: stage))
        try await stage.pool.run("ALTER DATABASE \(name) RESET default_transaction_read_only")
        #expect(await isAcked(id, last: 200, by: stage), "\(daemon.output.suffix(4000))")
        #expect(try await daemon.readiness() == 200)
        #expect(try await stage.rows("SELECT content FROM gateway.chat_message") == ["(\"keep me\")"])
        await stage.end(daemon)
    }
}
