import Foundation
import TestSupport
import Testing

@Suite("Which configuration file a command reads")
struct ConfigurationFileTests {
    private func printed(_ words: [String], variable: String) async throws -> (Int32, String) {
        let command = try Daemon(["config", "print"] + words, environment: ["LARK_GATEWAY_CONFIG": variable])
        return (await command.ended(), command.output)
    }

    @Test("that of --config, else that of LARK_GATEWAY_CONFIG, else the installed one; an error says which one it was")
    func order() async throws {
        let named = try Daemon.file(#"{"lease": {"ttl": "7s"}}"#)
        let other = try Daemon.file(#"{"lease": {"ttl": "9s"}}"#)
        #expect(try await printed([], variable: named).1.contains(#""ttl": "7s""#))
        #expect(try await printed(["--config", other], variable: named).1.contains(#""ttl": "9s""#))

        let gone = try TemporaryFolder.make("config") + "/gone.json"
        let (status, output) = try await printed([], variable: gone)
        #expect(status == 78)
        #expect(
            output == """
                lark-gateway: configuration: \(gone): there is no such file
                lark-gateway: the configuration is \(gone), which LARK_GATEWAY_CONFIG names

                """)
        #expect(try await printed(["--config", gone], variable: named).1.split(separator: "\n").count == 1)
    }

    @Test(
        "without either it is /etc/lark-gateway/config.json",
        .enabled(if: !FileManager.default.fileExists(atPath: "/etc/lark-gateway/config.json")))
    func standard() async throws {
        let worker = try Daemon(
            ["worker", "--runtime", "x", "--", "/bin/true"], environment: ["LARK_GATEWAY_CONFIG": ""])
        #expect(await worker.ended() == 78)
        #expect(worker.events("worker.failed").first?["file"].string == "/etc/lark-gateway/config.json")
        for words in [["status"], ["check"], ["agent", "list"]] {
            let command = try Daemon(words, environment: ["LARK_GATEWAY_CONFIG": ""])
            #expect(await command.ended() == 78)
            #expect(
                command.output.contains("/etc/lark-gateway/config.json: there is no such file"), "\(command.output)")
            #expect(command.output.contains("neither --config nor LARK_GATEWAY_CONFIG names another file"))
        }
    }
}
