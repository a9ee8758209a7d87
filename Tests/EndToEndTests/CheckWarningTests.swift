import AsyncRuntime
import TestSupport
import Testing

@Suite("What check warns of")
struct CheckWarningTests {
    @Test("a bot whose agent is not among the agents of the file, and a file without any bot")
    func remarks() async throws {
        func output(_ keys: String) async throws -> String {
            let file = try Daemon.file(#"{"database_url": "host=127.0.0.1 port=1", \#(keys)}"#)
            let check = try Daemon(["check", "--config", file])
            #expect(await check.ended() == 1)
            return check.output
        }
        let bot =
            #"{"app_id": "cli_1", "app_secret": "s", "domain": "http://127.0.0.1:1", "workspace": "acme", "agent": "suport"}"#
        let agents = #""agents": [{"workspace": "acme", "name": "support"}]"#
        #expect(
            try await output(#"\#(agents), "installations": [\#(bot)]"#).contains(
                "warn  installations[0].agent: acme/suport is not in agents; it will be made, with the runtime default")
        )
        #expect(try await output(agents).contains("warn  installations: the file names no bot"))
    }

    @Test("every mistake of the file is told, one a line, and the first fifty of many")
    func mistakes() async throws {
        func ends(_ text: String) async throws -> [String] {
            let check = try Daemon(["check", "--config", try Daemon.file(text)])
            #expect(await check.ended() == 78)
            return check.output.split(separator: "\n").map(String.init)
        }
        let lines = try await ends(#"{"lease": {"tll": "6s"}, "log": {"level": "loud"}, "installations": [{}]}"#)
        for key in ["lease.tll", "log.level", "installations[0].app_id", "installations[0].agent"] {
            #expect(lines.contains { $0.hasPrefix("lark-gateway: configuration: \(key): ") }, "\(lines)")
        }
        #expect(lines.count == 6)
        let many = try await ends("{\((0..<80).map { "\"key\($0)\": 1" }.joined(separator: ","))}")
        #expect(many.count == 51 && many.last == "lark-gateway: configuration: and 30 more mistakes")
        let broken = try Daemon.file("{\n  \"log\": {}\n  \"lease\": {}\n}")
        let check = try Daemon(["check", "--config", broken])
        #expect(await check.ended() == 78)
        #expect(
            check.output
                == "lark-gateway: configuration: \(broken): not JSON: line 3, column 3: expected a comma or }\n")
    }

    @Test("an empty file: that there is neither a bot nor a database, and what to set")
    func empty() async throws {
        let file = try Daemon.file("{}")
        let check = try Daemon(["check", "--config", file])
        #expect(await check.ended() == 78)
        #expect(check.output.contains("database_url: missing, and there is no $STATE_DIRECTORY"), "\(check.output)")
        #expect(check.output.contains("there is no bot in the file either (installations: "), "\(check.output)")
    }

    @Test("S22: a database on another machine whose certificate is not checked; never its URL")
    func way() async throws {
        let url = "postgresql://gateway:s3cr3t@db.invalid/x"
        let check = try Daemon(["check", "--config", try Daemon.file(#"{"database_url": "\#(url)"}"#)])
        #expect(await check.ended() == 1)
        #expect(
            check.output.contains("warn  database_url: db.invalid is not this machine, and sslmode is prefer: "),
            "\(check.output)")
        #expect(!check.output.contains("s3cr3t"))
        let verified = try Daemon(
            ["check", "--config", try Daemon.file(#"{"database_url": "\#(url)?sslmode=verify-full"}"#)])
        #expect(await verified.ended() == 1)
        #expect(!verified.output.contains("warn  database_url"))
    }
}
