import Foundation
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// What a configuration file takes away, and when it may.
@Suite("Bots that the file no longer names")
struct RevocationTests {
    /// Two bots of the file, and a third app that it does not name yet.
    private struct Place {
        let stage: Stage
        let path: String

        /// - Parameter url: nil: a database with the schema.
        init(url: String? = nil) async throws {
            stage = try await Stage(
                url: url,
                apps: ["cli_a", "cli_b", "cli_c"].map { SimulatedApp(id: $0, secret: "secret of \($0)") })
            path = try Daemon.file("{}")
        }

        /// - Parameter apps: nil: without the key.
        func write(_ apps: [String]?, agent: String = "support", agents: String = "") throws {
            let installations = apps.map { apps in
                let list = apps.map { app in
                    """
                    {"app_id": "\(app)", "app_secret": "secret of \(app)", "domain": "\(stage.larkURL)",
                     "workspace": "acme", "agent": "\(agent)", "access": "open"}
                    """
                }
                return #", "installations": [\#(list.joined(separator: ", "))]"#
            }
            try #"{"database_url": "\#(stage.url)", "metrics": {"listen": null}\#(agents)\#(installations ?? "")}"#
                .write(toFile: path, atomically: true, encoding: .utf8)
            chmod(path, 0o600)
        }

        /// With the two bots connected.
        func start() async throws -> Daemon {
            try write(["cli_a", "cli_b"])
            let daemon = try Daemon(["run", "--config", path])
            guard await connections(2) else { throw StageError(description: daemon.output) }
            return daemon
        }

        func connections(_ count: Int) async -> Bool {
            await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == count }
        }

        func states() async throws -> [String] {
            try await stage.rows("SELECT app_id, status FROM gateway.installation ORDER BY app_id")
        }

        /// - Returns: what it printed, and its exit code.
        func command(_ words: String...) async throws -> (output: String, status: Int32) {
            let command = try Daemon(words + ["--config", path])
            let status = await command.ended()
            return (command.output, status)
        }
    }

    @Test("12: a reload that would revoke all of them is refused, whatever it names instead; an empty list is a wish")
    func reload() async throws {
        let place = try await Place()
        let daemon = try await place.start()
        try place.write(nil)
        daemon.signal(SIGHUP)
        let refused = try #require(try await daemon.logged("configuration.refused").first)
        #expect(refused["level"].string == "error")
        #expect(refused["error"].string?.hasSuffix("would revoke them all: cli_a, cli_b") == true)
        #expect(refused["hint"].string?.contains(#""installations": []"#) == true)
        // Another system's file: nothing of it is applied.
        try place.write(["cli_c"])
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.refused", count: 2))
        #expect(try await place.states() == ["(cli_a,active)", "(cli_b,active)"])
        #expect(daemon.events("configuration.reloaded").isEmpty && daemon.events("connection.closed").isEmpty)

        // One of them goes, and another one comes.
        try place.write(["cli_b", "cli_c"])
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.reloaded"))
        #expect(try await place.states() == ["(cli_a,revoked)", "(cli_b,active)", "(cli_c,active)"])
        #expect(await place.connections(2))

        try place.write([])
        daemon.signal(SIGHUP)
        #expect(await place.connections(0))
        let revoked = try await daemon.logged("installation.revoked", count: 3)
        #expect(revoked.map { $0["app_id"].string } == ["cli_a", "cli_b", "cli_c"])
        #expect(revoked.allSatisfy { $0["level"].string == "warning" })
        // Nothing is left to be revoked.
        try place.write(nil)
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("configuration.reloaded", count: 3))
        await place.stage.end(daemon)
    }

    @Test("12: and so is a start, which ends with 78 and says what to do")
    func start() async throws {
        let place = try await Place()
        #expect(await (try await place.start()).stop() == 0)
        try place.write(nil)
        let (output, status) = try await place.command("run")
        #expect(status == 78, "\(output)")
        #expect(output.contains(#""error":"installations: the file names none of the bots"#), "\(output)")
        #expect(output.contains("cli_a, cli_b; where that is a mistake"), "\(output)")
        #expect(try await place.states() == ["(cli_a,active)", "(cli_b,active)"])
        await place.stage.end()
    }

    @Test("12: check says what a start or reload would change, and changes not a row")
    func check() async throws {
        let place = try await Place()
        #expect(await (try await place.start()).stop() == 0)
        let rows = """
            SELECT i.xmin, i.*, a.xmin, a.* FROM gateway.installation i JOIN gateway.agent a ON a.id = i.agent_id
            ORDER BY i.id
            """
        let before = try await place.stage.rows(rows)
        var (output, status) = try await place.command("check")
        #expect(status == 0, "\(output)")
        #expect(
            output.contains("ok    changes: a start or reload would leave agents and bots as they are"), "\(output)")

        try place.write(["cli_b", "cli_c"], agent: "sales")
        (output, status) = try await place.command("check")
        #expect(status == 0, "\(output)")
        let changes = output.split(separator: "\n").filter { $0.contains("changes: ") }
        #expect(
            changes == [
                "warn  changes: would revoke cli_a: the file does not name it any more",
                "warn  changes: would archive acme/support: the file does not name it any more",
                "ok    changes: would add cli_c",
            ])
        #expect(try await place.stage.rows(rows) == before)
        #expect(try await place.stage.rows("SELECT name FROM gateway.agent") == ["(support)"])

        try place.write(nil)
        (output, status) = try await place.command("check")
        #expect(status == 78)
        #expect(
            output.contains("FAIL  installations: the file names none of the bots that it made before"), "\(output)")
        #expect(output.contains("cli_a, cli_b; where that is a mistake"))

        // What a command revoked.
        try place.write(["cli_a", "cli_b"])
        #expect(try await place.command("installation", "revoke", "cli_a").status == 0)
        (output, _) = try await place.command("check")
        #expect(output.contains("warn  changes: cli_a stays revoked: a command revoked it"), "\(output)")
        await place.stage.end()
    }

    @Test("12: check waits a second at most for who applies a file at the same time, and then says that it can't tell")
    func busy() async throws {
        let place = try await Place()
        #expect(await (try await place.start()).stop() == 0)
        let output = try await place.stage.pool.withConnection(deadline: .after(.seconds(60))) { connection in
            _ = try await connection.query(
                Statement(name: "hold", sql: "SELECT pg_advisory_lock(7810759452391891044)"),
                deadline: .after(.seconds(10)))
            let (output, status) = try await place.command("check")
            #expect(status == 0, "\(output)")
            await connection.close()
            return output
        }
        #expect(
            output.contains("warn  changes: they can't be told now: apply_configuration: SQLSTATE 55P03"), "\(output)")
        await place.stage.end()
    }

    @Test("12: a schema that is not there yet, or is not up to date, is not asked what would change")
    func schema() async throws {
        let place = try await Place(url: try await TestPostgres.makeEmptyDatabase())
        try place.write(["cli_a"])
        let (output, status) = try await place.command("check")
        #expect(status == 0, "\(output)")
        #expect(output.contains("ok    changes: not known before the schema is up to date"), "\(output)")
        #expect(try await place.stage.rows("SELECT FROM pg_namespace WHERE nspname = 'gateway'").isEmpty)
        await place.stage.end()
    }
}
