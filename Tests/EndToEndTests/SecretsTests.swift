import Foundation
import HTTPServer
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

@Suite("Secrets, through the real daemon")
struct SecretsTests {
    private static let key = String(repeating: "5e", count: 32)
    private static let nextKey = String(repeating: "7f", count: 32)

    @Test("no secret is in a line of the log: not at a proxy that refuses it, not at a reload that changes all of them")
    func log() async throws {
        let asked = Recorder<String>()
        // It repeats what it was given.
        let proxy = try RawServer { peer in
            let lines = peer.readHead().components(separatedBy: "\r\n")
            let given = lines.first { $0.lowercased().hasPrefix("proxy-authorization: basic ") }?.dropFirst(27) ?? ""
            asked.record(Data(base64Encoded: String(given)).map { String(decoding: $0, as: UTF8.self) } ?? "")
            peer.write(
                Array(
                    "HTTP/1.1 407 Not \(given)\r\nProxy-Authenticate: Basic realm=\"\(given)\"\r\nContent-Length: 0\r\n\r\n"
                        .utf8))
        }
        let certificates = try await TestCertificates.shared
        let stage = try await Stage(
            tls: TLSIdentity(certificates: certificates.good.certificates, key: certificates.good.key))
        func configuration(app: String, proxyPassword: String, key: String) -> String {
            stage.configuration(
                secret: app,
                extra: """
                    , "sealing": {"key": "\(key)", "previous": ["\(Self.nextKey)"]},
                    "network": {"ca_file": "\(certificates.authority)", "proxy": "http://ann:\(proxyPassword)@127.0.0.1:\(proxy.port)"}
                    """
            ).replacing(
                "\"database_url\": \"\(stage.url)\"", with: "\"database_url\": \"\(stage.url) password=db-5ecret\"")
        }
        let path = try Daemon.file(configuration(app: "app-5ecret", proxyPassword: "proxy-5ecret", key: Self.key))
        let daemon = try Daemon(["run", "--config", path])
        #expect(try await daemon.logs("connection.failed"))
        let reason = try #require(daemon.events("connection.failed").first?["reason"].string)
        #expect(asked.all.first == "ann:proxy-5ecret")
        #expect(reason.contains("407") && reason.contains("127.0.0.1:\(proxy.port)"), "\(reason)")

        try configuration(app: "new-5ecret", proxyPassword: "other-5ecret", key: String(repeating: "3c", count: 32))
            .write(toFile: path, atomically: true, encoding: .utf8)
        daemon.signal(SIGHUP)
        let reloaded = try #require(try await daemon.logged("configuration.reloaded").first)
        #expect(reloaded["needs_restart"].string?.contains("network") == true, "\(daemon.output.suffix(500))")
        let check = try Daemon(["check", "--config", path])
        #expect(await check.ended() == 1)
        for output in [daemon.output, check.output] {
            #expect(!output.contains("5ecret"))
            for key in [Self.key, Self.nextKey, String(repeating: "3c", count: 32)] { #expect(!output.contains(key)) }
            for user in ["proxy-5ecret", "other-5ecret"] {
                #expect(!output.contains(Data("ann:\(user)".utf8).base64EncodedString()))
            }
        }
        await stage.end(daemon)
    }

    @Test("a secret that comes by standard input is on no command line, and is the one that connects")
    func standardInput() async throws {
        let stage = try await Stage()
        let configuration = """
            {"database_url": "\(stage.url)", "sealing": {"key": "\(Self.key)"}, "metrics": {"listen": null}}
            """
        // What comes is the secret, but for the line's end.
        let add = try Daemon(
            [
                "-c", #"printf '%s\n' "$SECRET" | "$0" "$@""#, Daemon.executable, "installation", "add", Stage.app.id,
                "--workspace", "acme", "--agent", "support", "--domain", stage.larkURL, "--secret", "-", "--config",
                try Daemon.file(configuration),
            ], environment: ["SECRET": Stage.app.secret], executable: "/bin/sh")
        #expect(await add.ended() == 0, "\(add.output)")
        #expect(add.output == "installed\n")
        let daemon = try Daemon.run(configuration)
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 1 })
        await stage.end(daemon)
    }

    @Test(
        "the database's password is in no error, whatever is wrong with the address",
        arguments: [
            "postgres://ann:db-5ecret@127.0.0.1:1/x", "postgres://ann:db-5ecret@127.0.0.1:port/x",
            "postgres://ann:db-5ecret@[::1/x", "postgres://ann:db-5ecret%zz@127.0.0.1:1/x",
            "postgres://ann:db-5ecret@127.0.0.1:1/x?no=such", "host=127.0.0.1 port=1 password=db-5ecret",
            "host=127.0.0.1 port=1 password='db-5ecret", "host=127.0.0.1 port=1 password = db-5ecret no=such",
            "db-5ecret",
            // Signs that should be percent-encoded: what stands behind them is the port, or in the host.
            "postgres://ann:db-5ecret/x@127.0.0.1:1/x", "postgres://ann:x@db-5ecret@127.0.0.1:1/x",
        ])
    func databasePassword(url: String) async throws {
        let command = try Daemon([
            "migrate", "--config", try Daemon.file(#"{"database_url": "\#(url)", "metrics": {"listen": null}}"#),
        ])
        #expect(await command.ended() != 0)
        #expect(!command.output.isEmpty && !command.output.contains("5ecret"), "\(command.output)")
    }

    @Test(
        "a dump of the database holds no secret; and a sealed one that is put into another app's row opens for nobody")
    func atRest() async throws {
        let apps = ["cli_a", "cli_b"].map { SimulatedApp(id: $0, secret: "5ecret-of-\($0)") }
        let stage = try await Stage(apps: apps)
        let configuration = """
            {"database_url": "\(stage.url)", "sealing": {"key": "\(Self.key)"}, "metrics": {"listen": null},
             "log": {"level": "debug"}}
            """
        for app in apps {
            let add = try Daemon(
                [
                    "installation", "add", app.id, "--workspace", "acme", "--agent", "support", "--domain",
                    stage.larkURL,
                    "--secret", "env:SECRET", "--config", try Daemon.file(configuration),
                ], environment: ["SECRET": app.secret])
            #expect(await add.ended() == 0, "\(add.output)")
        }
        var daemon = try Daemon.run(configuration)
        #expect(await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 2 })
        #expect(await daemon.stop() == 0)
        var dump = ""
        for table in try await stage.rows(
            "SELECT c.oid::regclass FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'gateway'::regnamespace")
        {
            dump += try await stage.rows("SELECT t FROM \(table.dropFirst().dropLast()) t").joined(separator: "\n")
        }
        #expect(dump.contains("cli_a"))
        for secret in apps.map(\.secret) + [Self.key] {
            let bytes = Data(secret.utf8)
            let hexadecimal = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            // Without what depends on the bytes before.
            let base64 = bytes.base64EncodedString().prefix(bytes.count / 3 * 4)
            #expect(!dump.contains(secret) && !dump.contains(hexadecimal) && !dump.contains(base64))
        }

        try await stage.pool.run(
            """
            UPDATE gateway.installation i SET sealed_secret = o.sealed_secret, sealed_key_id = o.sealed_key_id
            FROM gateway.installation o WHERE o.app_id <> i.app_id
            """)
        daemon = try Daemon.run(configuration)
        let locked = try await daemon.logged("installation.secret_locked", count: 2)
        #expect(Set(locked.map { $0["app_id"].string }) == ["cli_a", "cli_b"])
        #expect(await stage.simulator.connectionCount == 0)
        await stage.end(daemon)
    }
}
