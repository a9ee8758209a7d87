import Foundation
import Testing

@Suite("config, through the real executable")
struct ConfigCommandTests {
    private func run(_ words: [String], environment: [String: String] = [:]) async throws -> (Int32, String) {
        let command = try Daemon(["config"] + words, environment: environment)
        return (await command.ended(), command.output)
    }

    @Test("print says what is in effect, without secrets, and needs none of them")
    func printing() async throws {
        let path = try Daemon.file(
            """
            {"$schema": "./config.schema.json", "database_url": "host=h password=hunter2", "lease": {"ttl": "6s"},
             "installations": [{"app_id": "c", "app_secret": "credential:lark", "workspace": "w", "agent": "a"}]}
            """)
        let (status, printed) = try await run(["print", "--config", path])
        #expect(status == 0)
        #expect(!printed.contains("hunter2"))
        #expect(printed.contains(#""app_secret": "credential:lark""#))
        #expect(printed.contains(#""renew_every": "2s""#), "a default that comes from another key")
        #expect(try JSONSerialization.jsonObject(with: Data(printed.utf8)) is [String: Any])
    }

    @Test(
        "print ends with code 78 and the key path for a file that is wrong",
        arguments: [
            (#"{"lease": {"tll": "6s"}}"#, "lease.tll: unknown key; known here: ttl, renew_every"),
            (#"{"$schema": 5}"#, "$schema: found a number, expected a string"),
            (#"{"log": {"$schema": "x"}}"#, "log.$schema: unknown key"),
            (#"{"log": {}, "log": {}}"#, "log: stands twice"),
        ])
    func wrongFile(text: String, message: String) async throws {
        let (status, printed) = try await run(["print", "--config", try Daemon.file(text)])
        #expect(status == 78)
        #expect(printed.contains(message), "\(printed)")
        #expect(printed.split(separator: "\n").count == 1)
    }

    @Test("schema and keys print what stands in the repository; other words are wrong usage")
    func documents() async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let schema = try String(contentsOf: root.appendingPathComponent("config.schema.json"), encoding: .utf8)
        #expect(try await run(["schema"]) == (0, schema))
        let (status, table) = try await run(["keys"])
        #expect(status == 0 && table.hasPrefix("| key | "))
        #expect(try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8).contains(table))
        for words in [
            [], ["show"], ["schema", "keys"], ["print", "--confg", "x"], ["print", "--config"],
            ["print", "extra", "--config", "x"], ["schema", "--config", "x"], ["keys", "--config", "x"],
        ] {
            #expect(try await run(words).0 == 2, "\(words)")
        }
    }
}
