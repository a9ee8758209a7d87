import AsyncRuntime
import Foundation
import LarkSimulator
import Postgres
import Store
import TestSupport
import Testing

/// S5 of the security review: a secret goes to the domain that it was given for, whatever the database says.
@Suite("Sealed secrets and their domain")
struct SealedDomainTests {
    private static let hexadecimalKey = String(repeating: "ab", count: 32)

    /// Everything that somebody sent to an address of a stranger's.
    private final class Stranger: Sendable {
        private let heard: HeardBytes
        private let server: RawServer

        final class HeardBytes: Sendable {
            let bytes = Mutex<[UInt8]>([])
        }

        init() throws {
            let heard = HeardBytes()
            self.heard = heard
            server = try RawServer { peer in
                let bytes = peer.read()
                heard.bytes.withLock { $0 += bytes }
                peer.write(Array("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8))
            }
        }

        var url: String { "http://127.0.0.1:\(server.port)" }
        var isUntouched: Bool { heard.bytes.withLock { $0.isEmpty } }
    }

    private let key: SealingKey
    private let url: String
    private let pool: Pool
    private let path: String

    init() async throws {
        key = try SealingKey(Self.hexadecimalKey)
        url = try await TestPostgres.makeDatabase()
        pool = Pool(url: url, size: 2, applicationName: "tests")
        // Nothing leaves this machine: the proxy is nobody.
        path = try Daemon.file(
            """
            {"database_url": "\(url)", "sealing": {"key": "\(Self.hexadecimalKey)"}, "agents": [], "installations": [],
             "metrics": {"listen": null}, "network": {"proxy": "http://127.0.0.1:1", "no_proxy": ["127.0.0.1"]}}
            """)
    }

    private func start() async throws -> Daemon {
        let daemon = try Daemon(["run", "--config", path])
        let isStarted = try await daemon.logs("gateway.started")
        #expect(isStarted, "\(daemon.output)")
        return daemon
    }

    private func command(_ words: String..., status: Int32 = 0) async throws -> String {
        let command = try Daemon(words + ["--config", path], environment: ["SECRET": "s3cr3t"])
        #expect(await command.ended() == status, "\(command.output)")
        return command.output
    }

    private func add(_ app: String, at domain: String) async throws {
        _ = try await command(
            "installation", "add", app, "--workspace", "acme", "--agent", "support", "--secret", "env:SECRET",
            "--domain", domain)
    }

    /// As a version before this one left it.
    private func putFirstForm(_ app: String) async throws {
        let sealed = Data(key.sealInFirstForm("s3cr3t", for: app)).map { String(format: "%02x", $0) }.joined()
        try await pool.run(
            """
            UPDATE gateway.installation SET sealed_secret = '\\x\(sealed)', sealed_key_id = '\(key.firstFormID)'
            WHERE app_id = '\(app)'
            """)
    }

    private func form(_ app: String) async throws -> [String] {
        try await pool.rows(
            "SELECT get_byte(sealed_secret, 0), sealed_key_id FROM gateway.installation WHERE app_id = '\(app)'")
    }

    @Test("a domain that is changed in the database gets nothing: the bot stops, and the log says from where to where")
    func changedDomain() async throws {
        let simulator = LarkSimulator(apps: [SimulatedApp(id: "cli_a", secret: "s3cr3t")], timing: Stage.quick)
        try await simulator.start()
        let (lark, stranger) = (await simulator.url, try Stranger())
        let daemon = try await start()
        try await add("cli_a", at: lark)
        #expect(await simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 1 })
        try await pool.run("UPDATE gateway.installation SET domain = '\(stranger.url)'")
        #expect(await simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 0 })
        let locked = try #require(try await daemon.logged("installation.secret_locked").first)
        #expect(locked["level"].string == "error" && locked["app_id"].string == "cli_a")
        #expect(locked["reason"].string?.contains(stranger.url) == true)
        #expect(locked["hint"].string?.contains("installation set-secret cli_a --domain URL") == true)
        let changed = try #require(try await daemon.logged("installation.domain_changed").first)
        #expect(changed["level"].string == "warning")
        #expect(changed["old_domain"].string == lark && changed["new_domain"].string == stranger.url)

        // It is tried when something changes here, and never by itself: a reload that brings no key is no change.
        let isShown = try await eventually {
            try await pool.rows("SELECT connection_state, connection_retry_at FROM gateway.installation")
                == ["(locked,)"]
        }
        #expect(isShown)
        let (changes, lockings) = (
            daemon.events("installation.credentials_changed").count, daemon.events("installation.secret_locked").count
        )
        daemon.signal(SIGHUP)
        #expect(try await daemon.logs("installation.secret_locked", count: lockings + 1))
        #expect(daemon.events("installation.credentials_changed").count == changes)

        // Who mends it is not led into giving the secret away.
        let refused = try await command("installation", "set-secret", "cli_a", "--secret", "env:SECRET", status: 1)
        #expect(refused.contains("the domain of cli_a in the database is \(stranger.url)"), "\(refused)")
        #expect(try await command("installation", "reseal").isEmpty)
        // At a start it is the same.
        #expect(await daemon.stop() == 0)
        let second = try await start()
        #expect(try await second.logs("installation.secret_locked"))
        #expect(stranger.isUntouched)

        let mended = try await command(
            "installation", "set-secret", "cli_a", "--secret", "env:SECRET", "--domain", lark)
        #expect(mended.hasPrefix("stored for \(lark)"))
        #expect(await simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == 1 })
        // For a domain that a secret was given for, it need not be named again.
        _ = try await command("installation", "set-secret", "cli_a", "--secret", "env:SECRET")
        #expect(stranger.isUntouched)
        #expect(!(daemon.output + second.output).contains("s3cr3t"))
        _ = await second.stop()
        await simulator.stop()
        await pool.close()
    }

    @Test(
        "what an older version sealed is bound to the platform's domain at the start; for another domain it is not opened"
    )
    func olderForm() async throws {
        let stranger = try Stranger()
        _ = try await command("migrate")
        try await add("cli_a", at: "lark")
        try await add("cli_b", at: stranger.url)
        for app in ["cli_a", "cli_b"] { try await putFirstForm(app) }
        let daemon = try await start()
        let resealed = try #require(try await daemon.logged("installation.secret_resealed").first)
        #expect(resealed["app_id"].string == "cli_a")
        #expect(resealed["domain"].string == "https://open.larksuite.com")
        #expect(try await form("cli_a") == ["(2,\(key.id))"])
        let locked = try #require(try await daemon.logged("installation.secret_locked").first)
        #expect(locked["app_id"].string == "cli_b")
        #expect(locked["reason"].string?.contains("before secrets were bound to a domain") == true)
        // Bound, it stays where it is.
        try await pool.run(
            "UPDATE gateway.installation SET domain = 'https://open.feishu.cn' WHERE app_id = 'cli_a'")
        #expect(
            try await eventually {
                daemon.events("installation.secret_locked").contains { $0["app_id"].string == "cli_a" }
            })
        #expect(stranger.isUntouched)
        #expect(try await form("cli_b") == ["(1,\(key.firstFormID))"])
        _ = await daemon.stop()
        await pool.close()
    }

    @Test("`installation reseal` binds what an older version sealed, and names what must be given again")
    func resealed() async throws {
        _ = try await command("migrate")
        try await add("cli_a", at: "feishu")
        try await add("cli_b", at: "https://lark.test")
        for app in ["cli_a", "cli_b"] { try await putFirstForm(app) }
        let words = try await command("installation", "reseal", status: 1)
        #expect(words.contains("cli_a: sealed with \(key.id) now"), "\(words)")
        #expect(words.contains("installation set-secret cli_b --domain D"), "\(words)")
        #expect(try await form("cli_a") == ["(2,\(key.id))"])
        #expect(try await form("cli_b") == ["(1,\(key.firstFormID))"])
        await pool.close()
    }

    @Test("an installation that gets another domain without its secret has none any more")
    func anotherDomain() async throws {
        _ = try await command("migrate")
        try await add("cli_a", at: "feishu")
        func put(_ domain: String) async throws -> [String] {
            try await pool.run(
                "SELECT gateway.put_installation('cli_a', 'acme', 'support', '\(domain)', 'en', 'open', 'command')")
            return try await pool.rows("SELECT sealed_secret IS NULL, sealed_key_id IS NULL FROM gateway.installation")
        }
        #expect(try await put("https://open.feishu.cn") == ["(f,f)"])
        #expect(try await put("https://evil.example") == ["(t,t)"])
        await pool.close()
    }
}
