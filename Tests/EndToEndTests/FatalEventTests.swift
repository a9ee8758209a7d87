import AsyncRuntime
import Foundation
import HTTPServer
import Lark
import Postgres
import TestSupport
import Testing

@Suite("What ends the daemon or a worker is its last event")
struct FatalEventTests {
    private static let user = geteuid() == 0 ? "postgres" : nil

    /// Each line of the log parses, and the last one is the event.
    private func last(_ daemon: Daemon, _ code: Int32, of service: String = "gateway") async throws -> JSONValue {
        #expect(await daemon.ended() == code, "\(daemon.output)")
        let lines = daemon.output.split(separator: "\n").map { JSONValue(parsing: String($0)) }
        let parsed = lines.compactMap(\.self)
        #expect(parsed.count == lines.count, "\(daemon.output)")
        let event = try #require(parsed.last, "\(daemon.output)")
        #expect(event["event"].string == "\(service).failed" && event["level"].string == "error")
        #expect(event["exit_code"].integer.map(Int32.init) == code)
        #expect(event["hint"].string?.isEmpty == false)
        for words in ["NSCocoaErrorDomain", "Error Domain"] { #expect(!daemon.output.contains(words)) }
        return event
    }

    @Test("mistakes of the configuration: one event for each, then the last one; of a single one the last one alone")
    func mistakes() async throws {
        let two = #"{"lease": {"tll": "6s"}, "log": {"level": "loud"}}"#
        let daemon = try Daemon.run(two)
        let event = try await last(daemon, 78)
        #expect(event["mistakes"].integer == 2 && event["key"].string == "lease.tll")
        #expect(daemon.events("configuration.invalid").map { $0["key"].string } == ["lease.tll", "log.level"])
        let worker = try Daemon([
            "worker", "--config", try Daemon.file(two), "--runtime", "x", "--", "/bin/true",
        ])
        #expect(try await last(worker, 78, of: "worker")["mistakes"].integer == 2)
        let missing = try Daemon(["run", "--config", "/nowhere/c.json"])
        #expect(try await last(missing, 78)["error"].string == "/nowhere/c.json: there is no such file")
        #expect(missing.output.split(separator: "\n").count == 1)
    }

    @Test("the event has the format that the file chooses, also where the file has mistakes")
    func format() async throws {
        let daemon = try Daemon.run(#"{"log": {"format": "text"}, "lease": 5}"#)
        #expect(await daemon.ended() == 78)
        #expect(daemon.output.contains(/^\S+ ERROR   gateway\.failed error="lease: found a number/))
        let broken = try Daemon.run(#"{"log": {"format": "text"},, }"#)
        #expect(try await last(broken, 78)["error"].string?.contains("not JSON: line 1, column 28") == true)
    }

    @Test("a port that is in use: its key, and how to see who has it")
    func port() async throws {
        let taken = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("mine\n") }
        let daemon = try Daemon.run(
            #"{"database_url": "host=127.0.0.1 port=1", "metrics": {"listen": "127.0.0.1:\#(taken.port)"}}"#)
        let event = try await last(daemon, 1)
        #expect(event["key"].string == "metrics.listen")
        #expect(event["hint"].string?.contains("ss -ltnp 'sport = :\(taken.port)'") == true)
        await taken.stop()
    }

    @Test("a database that refuses the daemon: database_url, and what to do")
    func database() async throws {
        let nowhere = try await TestPostgres.makeDatabase().replacingOccurrences(of: "dbname=", with: "dbname=no_")
        let daemon = try Daemon.run(#"{"database_url": "\#(nowhere)", "metrics": {"listen": null}}"#)
        let event = try await last(daemon, 1)
        #expect(event["key"].string == "database_url")
        #expect(event["error"].string?.contains("does not exist") == true)
    }

    @Test("a state directory that can't be made ends run and migrate with 78, its key and the command that makes it")
    func stateDirectory() async throws {
        // Ours, and the daemon's is another user; or closed to us.
        let folder = try TemporaryFolder.make("closed")
        chmod(folder, 0o555)
        let state = folder + "/in/it"
        let file = try Daemon.file(
            #"{"state_directory": "\#(state)", "metrics": {"listen": null}}"#, for: Self.user)
        let event = try await last(try Daemon(["run", "--config", file], user: Self.user), 78)
        #expect(event["key"].string == "state_directory")
        #expect(event["error"].string?.contains("\(state): Permission denied") == true, "\(event)")
        #expect(event["hint"].string?.contains("sudo install -d -m 700 -o ") == true)
        #expect(event["hint"].string?.hasSuffix(" \(state)") == true)
        let migrate = try Daemon(["migrate", "--config", file], user: Self.user)
        #expect(await migrate.ended() == 78)
        #expect(migrate.output.contains("lark-gateway: state_directory: can't use \(state): Permission denied\n"))
        #expect(migrate.output.contains("sudo install -d -m 700 -o "))
    }

    @Test("a command says in plain words why the database can't be reached, and what to do")
    func commands() async throws {
        let status = try Daemon([
            "status", "--config", try Daemon.file(#"{"database_url": "host=127.0.0.1 port=1"}"#),
        ])
        #expect(await status.ended() == 1)
        #expect(status.output.hasPrefix("lark-gateway: no connection to Postgres: "), "\(status.output)")
        #expect(
            status.output.contains("\nlark-gateway: start that Postgres, or correct database_url; lark-gateway check"))
        let empty = try await TestPostgres.makeEmptyDatabase()
        let unmade = try Daemon(["status", "--config", try Daemon.file(#"{"database_url": "\#(empty)"}"#)])
        #expect(await unmade.ended() == 1)
        #expect(unmade.output.contains("start the gateway or run lark-gateway migrate"), "\(unmade.output)")
    }
}
