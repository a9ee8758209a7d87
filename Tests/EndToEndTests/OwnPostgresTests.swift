import AsyncRuntime
import Foundation
import HTTPServer
import Postgres
import TestSupport
import Testing

/// Daemons without `database_url`, as the user that they run as in production: one without rights.
@Suite("The daemon's own Postgres")
struct OwnPostgresTests {
    private typealias Place = OwnPostgresPlace

    @Test("a cluster of a version that is not installed ends the start with 78, which systemd does not try again")
    func otherVersion() async throws {
        let place = try await Place()
        try FileManager.default.createDirectory(atPath: place.data, withIntermediateDirectories: true)
        try Data("99\n".utf8).write(to: URL(fileURLWithPath: place.data + "/PG_VERSION"))
        let daemon = try place.run()
        #expect(await daemon.ended() == 78)
        #expect(
            daemon.output.contains("the Postgres cluster in \(place.data) was made by version 99, and "))
        #expect(daemon.events("postgres.started").isEmpty)
        let (status, output) = try await place.command("migrate")
        #expect(status == 78 && output.contains("postgresql-99"))
        #expect(try FileManager.default.subpathsOfDirectory(atPath: place.data) == ["PG_VERSION"])
        await place.stage.end()
    }

    @Test(
        "S20: its processes get none of the daemon's secrets, nor systemd's socket, and its log is bounded while it runs"
    )
    func environment() async throws {
        let place = try await Place()
        let daemon = try place.run(environment: ["APP_SECRET": "s3cr3t", "NOTIFY_SOCKET": "/run/none", "LC_TIME": "C"])
        #expect(try await daemon.logs("connection.opened"), "\(daemon.output)")
        let postmaster = try #require(place.postmaster)
        let text = try String(contentsOfFile: "/proc/\(postmaster)/environ", encoding: .utf8)
        #expect(text.contains("LC_TIME=C") && !text.contains("s3cr3t") && !text.contains("NOTIFY_SOCKET"), "\(text)")
        let log = place.state + "/postgres/postgres.log"
        let file = try #require(FileHandle(forWritingAtPath: log))
        try file.seekToEnd()
        try file.write(contentsOf: Data(repeating: 0x61, count: 9 << 20))
        let isCut = try await eventually(within: .seconds(30)) {
            (try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int ?? .max) < 1 << 20
        }
        #expect(isCut)
        #expect(await daemon.stop() == 0)
        await place.stage.end()
    }

    @Test(
        "S4: a worker that is root reaches it, and runs its command as somebody who does not",
        .enabled(if: geteuid() == 0))
    func rootWorker() async throws {
        let place = try await Place()
        let daemon = try await place.start()
        let script = "id -un; ls \(place.state)/postgres >/dev/null 2>&1 && echo open; true"
        let worker = try Daemon([
            "worker", "--config", try Daemon.file("{\"state_directory\": \"\(place.state)\"}"), "--runtime", "default",
            "--user", "daemon", "--", "/bin/sh", "-c", script,
        ])
        await place.stage.say("who are you?")
        #expect(await place.stage.sent(1).map(\.content) == [#"{"text":"daemon"}"#], "\(worker.output)")
        #expect(await worker.stop() == 0)
        #expect(await daemon.stop() == 0)
        await place.stage.end()
    }

    @Test(
        "S20: a state directory that others may change, or a folder in it that others may enter, ends the start with 78"
    )
    func openFolders() async throws {
        let place = try await Place()
        chmod(place.state, 0o775)
        let first = try place.run()
        #expect(await first.ended() == 78)
        #expect(first.output.contains("others may change it (its mode is 775): chmod go-w \(place.state)"))
        chmod(place.state, 0o755)
        #expect(try await place.start().stop() == 0)
        chmod(place.state + "/postgres", 0o711)
        let second = try place.run()
        #expect(await second.ended() == 78)
        #expect(second.output.contains("others may enter it (its mode is 711): chmod 700 \(place.state)/postgres"))
        #expect(!place.isPostgresRunning)
        await place.stage.end()
    }

    @Test("a port that is taken ends the start with its key: no Postgres is started, and one that runs is not stopped")
    func takenPort() async throws {
        let place = try await Place()
        let taken = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("mine\n") }
        func refuses(_ key: String, _ daemon: Daemon) async {
            #expect(await daemon.ended() == 1)
            let event = daemon.events("gateway.failed").first
            #expect(
                event?["error"].string == "\(key): can't listen on 127.0.0.1:\(taken.port): Address already in use")
            #expect(event?["key"].string == key)
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

    @Test(
        "I1: a Postgres that is killed, and one that is stopped, is started again by the same daemon; nothing is lost")
    func startedAgain() async throws {
        let place = try await Place()
        let daemon = try await place.start()
        #expect(await place.stage.acked(await place.stage.say("before"), [200]))
        for (round, signal) in [SIGKILL, SIGINT].enumerated() {
            kill(try #require(place.postmaster), signal)
            #expect(try await daemon.logs("postgres.ended", count: round + 1))
            let id = await place.stage.say("after \(signal)")
            let isStored = await place.stage.simulator.wait(until: .after(.seconds(60))) {
                $0.states(of: id).first?.acks.last == 200
            }
            #expect(isStored, "\(daemon.output.suffix(4000))")
            #expect(try await daemon.logs("postgres.started", count: round + 2))
        }
        #expect(daemon.events("postgres.ended").map { $0["how"].string } == ["killed", "stopped"])
        #expect(daemon.events("postgres.started").map { $0["adopted"].boolean } == [false, false, false])
        #expect(try await place.messages() == ["(before)", "(\"after 9\")", "(\"after 2\")"])
        #expect(daemon.events("gateway.started").count == 1)

        #expect(await daemon.stop() == 0)
        #expect(!place.isPostgresRunning)
        #expect(daemon.events("postgres.ended").count == 2, "the daemon's own stop of it is no end")
        await place.stage.end()
    }

    @Test(
        "a disk that is full at the first start ends it with 1, which systemd tries again; with room it works",
        .enabled(if: SmallDisk.isPossible, "mounting a tmpfs takes root"))
    func fullDisk() async throws {
        let disk = try await SmallDisk.make(mebibytes: 192)
        let place = try await Place(in: disk.path)
        try disk.fill()
        for _ in 1...2 {
            let daemon = try place.run()
            #expect(await daemon.ended() == 1)
            #expect(daemon.output.contains("No space left on device"), "\(daemon.output)")
            #expect(!place.isPostgresRunning)
        }
        try disk.free()
        let daemon = try await place.start()
        #expect(await place.stage.acked(await place.stage.say("there is room"), [200]))
        #expect(await daemon.stop() == 0)
        await place.stage.end()
        await disk.remove()
    }

    @Test("a Postgres that can't be started again ends the daemon with code 1, in order, and with what to do")
    func givenUp() async throws {
        let place = try await Place()
        let daemon = try await place.start()
        #expect(await place.stage.acked(await place.stage.say("kept"), [200]))
        let postmaster = try #require(place.postmaster)
        try FileManager.default.moveItem(atPath: place.data, toPath: place.data + ".away")
        kill(postmaster, SIGKILL)
        let hasGivenUp = try await daemon.logs("postgres.given_up", within: .seconds(120))
        try #require(hasGivenUp, "\(daemon.output.suffix(4000))")
        #expect(await daemon.ended() == 1)
        #expect(daemon.events("postgres.ended").count == 1)
        #expect(daemon.events("postgres.start_failed").count == 4)
        let event = try #require(daemon.events("postgres.given_up").first)
        #expect(event["level"].string == "error" && event["hint"].string?.contains("postgres.log") == true)
        let lost = "there is no Postgres cluster in \(place.data) any more"
        #expect(event["error"].string?.hasPrefix(lost) == true)
        #expect(daemon.events("gateway.stopped").count == 1)

        // As systemd does. No empty cluster takes the place of the lost one.
        let next = try place.run()
        #expect(await next.ended() == 1)
        #expect(next.output.contains(lost))
        #expect(!FileManager.default.fileExists(atPath: place.data))
        try FileManager.default.moveItem(atPath: place.data + ".away", toPath: place.data)
        let last = try await place.start()
        #expect(try await place.messages() == ["(kept)"])
        #expect(await last.stop() == 0)
        await place.stage.end()
    }

    @Test(
        "told to stop while it starts its Postgres again, or for the first time, it leaves none behind",
        arguments: [false, true])
    func stoppedMeanwhile(isFirst: Bool) async throws {
        let place = try await Place()
        // A cluster that is there already: making one takes a second.
        let daemon = try await place.start()
        if isFirst { #expect(await daemon.stop() == 0) }
        var stopped = daemon
        if isFirst {
            stopped = try place.run()
            #expect(try await stopped.logs("metrics.listening"))
        } else {
            kill(try #require(place.postmaster), SIGKILL)
            #expect(try await daemon.logs("postgres.ended"))
        }
        stopped.signal(SIGTERM)
        let status = await stopped.ended()
        #expect(status == 0, "\(stopped.output.suffix(2000))")
        #expect(!place.isPostgresRunning)
        #expect(stopped.events("postgres.given_up").isEmpty)
        await place.stage.end()
    }
}
