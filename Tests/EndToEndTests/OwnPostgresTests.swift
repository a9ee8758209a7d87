import AsyncRuntime
import Foundation
import HTTPServer
import Postgres
import TestSupport
import Testing

/// Daemons without `database_url`, as the user that they run as in production: one without rights.
@Suite("The daemon's own Postgres")
struct OwnPostgresTests {
    /// A simulated Lark, and a state directory.
    private struct Place {
        let stage: Stage
        let state: String
        let user = geteuid() == 0 ? "postgres" : nil

        init() async throws {
            stage = try await Stage()
            state = try TemporaryFolder.make("state")
            if let user { chown(state, try #require(getpwnam(user)).pointee.pw_uid, gid_t.max) }
        }

        var data: String { state + "/postgres/data" }

        func run(metrics port: Int = 0, extra: String = "") throws -> Daemon {
            let keys = ", \"state_directory\": \"\(state)\"" + extra
            let text = stage.configuration(database: false, extra: keys)
                .replacingOccurrences(of: "127.0.0.1:0", with: "127.0.0.1:\(port)")
            return try Daemon.run(text, user: user)
        }

        /// Runs another command on the same configuration.
        func command(_ word: String) async throws -> (status: Int32, output: String) {
            let keys = ", \"state_directory\": \"\(state)\""
            let file = try Daemon.file(stage.configuration(database: false, extra: keys))
            let command = try Daemon([word, "--config", file], user: user)
            return (await command.ended(), command.output)
        }

        func start() async throws -> Daemon {
            let daemon = try run()
            let isConnected = try await daemon.logs("connection.opened")
            try #require(isConnected, "\(daemon.output)")
            return daemon
        }

        /// The postmaster that the data directory names.
        var postmaster: pid_t? {
            let text = try? String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8)
            return text?.split(separator: "\n").first.flatMap { pid_t($0) }
        }

        var isPostgresRunning: Bool { postmaster.map { kill($0, 0) == 0 } ?? false }

        /// The text of each message in the daemon's own database, in order.
        func messages() async throws -> [String] {
            let pool = Pool(url: PrivatePostgres(directory: state + "/postgres").url, size: 1)
            let rows = try await pool.rows(
                "SELECT content FROM gateway.chat_message WHERE role = 'user' ORDER BY position")
            await pool.close()
            return rows
        }
    }

    @Test("a second run on the same directory is refused at once and touches nothing; the first one goes on")
    func secondRun() async throws {
        let place = try await Place()
        let first = try await place.start()
        let postmaster = try #require(place.postmaster)

        let second = try place.run()
        let isRefused = try await eventually { !second.output.isEmpty }
        #expect(isRefused)
        let pid = try #require(first.processID)
        try #require(
            second.output == "lark-gateway: another lark-gateway (pid \(pid)) uses this directory: \(place.state)\n")
        #expect(await second.ended() == 1)
        // It uses the running one's server, and leaves it.
        #expect(try await place.command("migrate") == (0, "the schema is up to date\n"))

        let id = await place.stage.say("still here?")
        #expect(await place.stage.acked(id, [200]))
        #expect(place.postmaster == postmaster)
        #expect(first.events("database.unavailable").isEmpty)
        #expect(await first.stop() == 0)
        #expect(!place.isPostgresRunning)
        // Nobody is left who uses it.
        #expect(try await place.command("migrate") == (0, "the schema is up to date\n"))
        #expect(!place.isPostgresRunning)
        await place.stage.end()
    }

    @Test("a port that is taken ends the start with its key: no Postgres is started, and one that runs is not stopped")
    func takenPort() async throws {
        let place = try await Place()
        let taken = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("mine\n") }
        func refuses(_ key: String, _ daemon: Daemon) async {
            #expect(await daemon.ended() == 1)
            #expect(
                daemon.output.contains(
                    "lark-gateway: \(key): can't listen on 127.0.0.1:\(taken.port): Address already in use"))
            #expect(daemon.events("postgres.started").isEmpty)
        }
        let pairing = #"""
            , "public_url": "https://e.com", "pairing": {"listen": "127.0.0.1:\#(taken.port)"}
            """#
        await refuses("metrics.listen", try place.run(metrics: taken.port))
        await refuses("pairing.listen", try place.run(extra: pairing))
        #expect(!FileManager.default.fileExists(atPath: place.state + "/postgres"))

        try await place.start().killNow()
        let postmaster = try #require(place.postmaster)
        await refuses("metrics.listen", try place.run(metrics: taken.port))
        await refuses("pairing.listen", try place.run(extra: pairing))
        #expect(place.postmaster == postmaster && place.isPostgresRunning)

        let next = try await place.start()
        #expect(next.output.contains(#""adopted":true"#))
        #expect(await next.stop() == 0)
        await taken.stop()
        await place.stage.end()
    }
}
