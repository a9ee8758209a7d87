import AsyncRuntime
import Foundation
import Postgres
import TestSupport
import Testing

@Suite("migrate --grant, through the real programs")
struct GrantWayTests {
    @Test("from an empty server to a reply, with a role for each: the gateway's, the workers', the operators'")
    func way() async throws {
        let server = try await TestPostgres.makeServer()
        func url(_ role: String, password: String = "") -> String {
            TestPostgres.url(server, "gate").replacingOccurrences(
                of: "user=lark_gateway", with: "user=\(role)\(password)")
        }
        let stage = try await Stage(url: url("gate", password: " password=s3cret"))
        let file = try Daemon.file(TestPostgres.url(server, "postgres"))
        let configuration = try Daemon.file(stage.configuration())
        func command(_ words: [String], _ configuration: String) async throws -> (status: Int32, output: String) {
            let command = try Daemon(words + ["--config", configuration])
            return (await command.ended(), command.output)
        }
        let made = try await command(["migrate", "--grant", "--admin-url", "file:\(file)"], configuration)
        #expect(made.status == 0, "\(made.output)")
        #expect(made.output.contains("done  CREATE ROLE gate LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD of"))
        #expect(made.output.contains("done  lark_gateway_worker may claim tasks of runtime default and answer them"))
        #expect(made.output.contains("ok    database_url lets the gateway in"))
        #expect(!made.output.contains("s3cret"))
        let again = try await command(["migrate", "--grant", "--admin-url", "file:\(file)"], configuration)
        #expect(again.status == 0 && !again.output.contains("done  "), "\(again.output)")

        let daemon = try await stage.start(stage.configuration())
        let worker = try Daemon(
            [
                "worker", "--config", try Daemon.file(#"{"database_url": "\#(url("lark_gateway_worker"))"}"#),
                "--runtime",
                "default", "--", "/bin/sh", "-c", Stage.echo,
            ])
        await stage.say("hello")
        #expect(await stage.sent(1).first?.content.contains("hello") == true, "\(worker.output)")
        #expect(worker.events("database.unavailable").isEmpty, "\(worker.output)")

        let operators = try Daemon.file(#"{"database_url": "\#(url("lark_gateway_operator"))"}"#)
        for words in [["status"], ["agent", "list"], ["agent", "set-offline", "acme/support"], ["member", "list"]]
            + [["outbox", "retry", "dead"], ["issue", "list"], ["installation", "revoke", "cli_test"]]
            + [["worker-role", "list"], ["member", "invite", "Ann", "--workspace", "acme"], ["outbox", "list"]]
        {
            let (status, output) = try await command(words, operators)
            #expect(status == 0, "\(words): \(output)")
        }
        let refused = try await command(["worker-role", "add", "gate", "--runtime", "x"], operators)
        #expect(refused.status == 1 && refused.output.contains("the role that owns the schema"), "\(refused.output)")
        await stage.end(worker, daemon)
        try await server.stop(mode: .immediate, deadline: .after(.seconds(60)))
    }

    @Test("a password on the command line, and the private Postgres, are refused")
    func refused() async throws {
        for (words, text, file) in [
            (
                ["--admin-url", "postgresql://boss:s3cret@db/x"], "seen by everybody",
                #"{"database_url": "postgresql://g@db/g"}"#
            ),
            (
                ["--admin-url", "postgresql://boss@db/x"], "the private Postgres has its roles",
                #"{"state_directory": "/x"}"#
            ),
            (["--admin-url", "postgresql://boss@db/x"], "names no user", #"{"database_url": "postgresql://db/g"}"#),
            ([], "--admin-url is missing", #"{"database_url": "postgresql://g@db/g"}"#),
        ] {
            let command = try Daemon(["migrate", "--grant", "--config", try Daemon.file(file)] + words)
            let status = await command.ended()
            #expect([2, 78].contains(status) && command.output.contains(text), "\(command.output)")
        }
    }
}
