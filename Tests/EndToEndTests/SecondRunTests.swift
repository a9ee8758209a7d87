import AsyncRuntime
import Foundation
import TestSupport
import Testing

/// What a `run` does where another one runs already.
@Suite("A second run")
struct SecondRunTests {
    private typealias Place = OwnPostgresPlace

    /// Everything in the state directory but the cluster, with its time of change, and the server's process.
    private func traces(of place: Place) throws -> [String] {
        let files = FileManager.default
        let paths = try files.subpathsOfDirectory(atPath: place.state).filter {
            !$0.hasPrefix("postgres/data/") && !$0.hasSuffix(".log")
        }
        return try paths.sorted().map { path in
            let attributes = try files.attributesOfItem(atPath: place.state + "/" + path)
            return "\(path) \(attributes[.modificationDate] ?? "") \(attributes[.size] ?? "")"
        } + ["\(place.postmaster ?? 0)"]
    }

    private func refusal(by first: Daemon, in directory: String) throws -> String {
        let pid = try #require(first.processID)
        return "another lark-gateway (pid \(pid)) uses this directory: \(directory)"
    }

    /// With one line of the log, exit code 1, and nothing changed.
    private func expectRefusal(of second: Daemon, _ place: Place, by first: Daemon, in directory: String? = nil)
        async throws
    {
        let before = try traces(of: place)
        #expect(await second.ended() == 1)
        let event = try #require(second.events("gateway.failed").first, "\(second.output)")
        #expect(event["error"].string == (try refusal(by: first, in: directory ?? place.state)))
        #expect(event["hint"].string?.contains("systemctl stop lark-gateway") == true)
        #expect(second.output.split(separator: "\n").count == 1, "\(second.output)")
        #expect(try traces(of: place) == before)
    }

    @Test("on the same directory, it is refused at once and touches nothing; the first one goes on")
    func secondRun() async throws {
        let place = try await Place()
        let first = try await place.start()
        let postmaster = try #require(place.postmaster)
        try await expectRefusal(of: place.run(), place, by: first)
        // Before its ports: the first one's would be refused with another message.
        let port = try #require(first.events("metrics.listening").first?["port"].integer)
        try await expectRefusal(of: place.run(metrics: port), place, by: first)

        let id = await place.stage.say("still here?")
        #expect(await place.stage.acked(id, [200]))
        #expect(place.postmaster == postmaster)
        #expect(first.events("database.unavailable").isEmpty && first.events("postgres.ended").isEmpty)
        #expect(await first.stop() == 0)
        #expect(!place.isPostgresRunning)
        await place.stage.end()
    }

    @Test(
        "with another configuration, and over a symbolic link or another spelling of the directory, it is refused too")
    func otherWays() async throws {
        let place = try await Place()
        let first = try await place.start()
        let link = try TemporaryFolder.make("link") + "/state"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: place.state)
        for directory in [place.state, link, place.state + "/../" + (place.state as NSString).lastPathComponent] {
            let text = #"{"state_directory": "\#(directory)", "metrics": {"listen": null}}"#
            let second = try Daemon(["run", "--config", try Daemon.file(text, for: place.user)], user: place.user)
            try await expectRefusal(of: second, place, by: first, in: directory)
        }
        let unit = try Daemon(
            ["run", "--config", try Daemon.file("{}", for: place.user)], user: place.user,
            environment: ["STATE_DIRECTORY": place.state])
        try await expectRefusal(of: unit, place, by: first)
        #expect(await first.stop() == 0)
        await place.stage.end()
    }

    @Test("the process id that a killed one left in the lock's file refuses nobody, whoever has that id now")
    func staleProcessID() async throws {
        let place = try await Place()
        let lock = place.state + "/lark-gateway.lock"
        try await place.start().killNow()
        let left = try String(contentsOfFile: lock, encoding: .utf8)
        for text in [left, "1\n", "\(getpid())\n", "no number\n", ""] {
            try text.write(toFile: lock, atomically: false, encoding: .utf8)
            let next = try await place.start()
            #expect(try String(contentsOfFile: lock, encoding: .utf8) == "\(try #require(next.processID))\n")
            #expect(await next.stop() == 0)
        }
        await place.stage.end()
    }

    @Test("migrate, check and status work beside a running one, and leave its Postgres to it")
    func commands() async throws {
        let place = try await Place()
        let first = try await place.start()
        let postmaster = try #require(place.postmaster)
        #expect(try await place.command("migrate") == (0, "the schema is up to date\n"))
        let check = try await place.command("check")
        #expect(check.status == 0 && check.output.contains("the schema is up to date"), "\(check.output)")
        let status = try await place.command("status")
        #expect(status.status == 0 && status.output.contains("cli_test"), "\(status.output)")
        #expect(place.postmaster == postmaster && first.events("postgres.ended").isEmpty)
        #expect(await first.stop() == 0)

        // Nobody is left who uses it.
        #expect(try await place.command("migrate") == (0, "the schema is up to date\n"))
        #expect(!place.isPostgresRunning)
        await place.stage.end()
    }

    @Test(
        "with a database_url, it is a second replica; a port that both want refuses it, and the message names the key")
    func secondReplica() async throws {
        let stage = try await Stage()
        let first = try await stage.start(stage.configuration())
        let port = try #require(first.events("metrics.listening").first?["port"].integer)
        let refused = try Daemon.run(
            stage.configuration().replacingOccurrences(of: "127.0.0.1:0", with: "127.0.0.1:\(port)"))
        #expect(await refused.ended() == 1)
        let event = try #require(refused.events("gateway.failed").first, "\(refused.output)")
        #expect(event["error"].string == "metrics.listen: can't listen on 127.0.0.1:\(port): Address already in use")
        #expect(event["key"].string == "metrics.listen")

        let second = try Daemon.run(stage.configuration())
        #expect(try await second.logs("lease.held_elsewhere"))
        #expect(await first.stop() == 0)
        #expect(try await second.logs("connection.opened"))
        #expect(await second.stop() == 0)
        await stage.end()
    }
}
