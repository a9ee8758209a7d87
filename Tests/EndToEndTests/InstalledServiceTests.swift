import AsyncRuntime
import Foundation
import HTTPServer
import LarkSimulator
import TestSupport
import Testing

/// Commands from a shell that has nothing of what systemd gives the service.
@Suite("Commands beside the installed service")
struct InstalledServiceTests {
    /// An installed service: its unit, configuration, secrets and state directory.
    private struct Installation {
        static let key = String(repeating: "ab", count: 32)

        let stage: Stage
        let root: String
        /// The service's.
        let user = geteuid() == 0 ? "postgres" : nil
        let configuration: String

        init(database: Bool) async throws {
            stage = try await Stage()
            root = try TemporaryFolder.make("r")
            for folder in ["/etc/systemd/system", "/var/lib/lark-gateway"] {
                try FileManager.default.createDirectory(
                    atPath: root + folder, withIntermediateDirectories: true)
            }
            configuration = try Daemon.file(
                stage.configuration(
                    secret: "credential:app", database: database, extra: #", "sealing": {"key": "credential:key"}"#),
                for: user)
            try """
            [Service]
            User=\(user ?? NSUserName())
            StateDirectory=lark-gateway
            ExecStart=/usr/local/bin/lark-gateway run --config \(configuration)
            LoadCredential=app:\(root)/app
            LoadCredential=key:\(root)/key
            """.write(
                toFile: root + "/etc/systemd/system/lark-gateway.service", atomically: true, encoding: .utf8)
            for (name, secret) in [("app", Stage.app.secret), ("key", Self.key)] {
                try secret.write(toFile: "\(root)/\(name)", atomically: true, encoding: .utf8)
                chmod("\(root)/\(name)", 0o600)
            }
            chmod(state, 0o700)
            if let user { chown(state, try #require(getpwnam(user)).pointee.pw_uid, gid_t.max) }
        }

        var state: String { root + "/var/lib/lark-gateway" }

        /// As systemd starts it.
        func start() async throws -> Daemon {
            let credentials = try TemporaryFolder.make("credentials")
            for name in ["app", "key"] {
                let copy = "\(credentials)/\(name)"
                try FileManager.default.copyItem(atPath: "\(root)/\(name)", toPath: copy)
                if let user { chown(copy, try #require(getpwnam(user)).pointee.pw_uid, gid_t.max) }
            }
            let daemon = try Daemon(
                ["run", "--config", configuration], user: user,
                environment: ["STATE_DIRECTORY": state, "CREDENTIALS_DIRECTORY": credentials])
            let isConnected = try await daemon.logs("connection.opened")
            try #require(isConnected, "\(daemon.output)")
            return daemon
        }

        /// From a shell.
        func begin(_ words: [String], as user: String? = nil) throws -> Daemon {
            try Daemon(
                words, user: user,
                environment: ["LARK_GATEWAY_CONFIG": configuration, "LARK_GATEWAY_UNIT_ROOT": root])
        }

        func command(_ words: String..., as user: String? = nil) async throws -> (status: Int32, output: String) {
            let command = try begin(words, as: user)
            return (await command.ended(), command.output)
        }
    }

    @Test("with its own Postgres: check, status, a worker and all administration work for root and the service's user")
    func ownPostgres() async throws {
        let place = try await Installation(database: false)
        let before = try await place.command("check")
        #expect(before.status == 0, "\(before.output)")
        #expect(
            before.output.contains("ok    database: a private Postgres in \(place.state)/postgres, not running now"))
        let daemon = try await place.start()

        let check = try await place.command("check")
        #expect(check.status == 0, "\(check.output)")
        #expect(check.output.contains("ok    state directory: \(place.state)"))
        #expect(check.output.contains("ok    database: Postgres "))
        #expect(check.output.contains("ok    cli_test: credentials and long connection are good"))
        for user in Set([place.user, nil]) {
            let status = try await place.command("status", as: user)
            #expect(status.status == 0 && status.output.contains("cli_test"), "\(status.output)")
            let list = try await place.command("agent", "list", as: user)
            #expect(list.status == 0 && list.output.contains("acme/support"), "\(list.output)")
        }
        let added = try await place.command(
            "installation", "add", "cli_other", "--workspace", "acme", "--agent", "support", "--secret",
            "credential:app")
        #expect(added.status == 0 && added.output == "installed\n", "\(added.output)")

        let worker = try place.begin(["worker", "--runtime", "default", "--", "/bin/sh", "-c", "echo done"])
        await place.stage.say("work")
        #expect(await place.stage.sent(1).map(\.content) == [#"{"text":"done"}"#], "\(worker.output)")
        #expect(await worker.stop() == 0)
        #expect(await daemon.stop() == 0)
        let stopped = try await place.command("status")
        #expect(stopped.status == 1)
        #expect(stopped.output.contains("sudo systemctl start lark-gateway"), "\(stopped.output)")
        await place.stage.end()
    }

    @Test(
        "what its user may not read is told of with the one command to type, and check goes on with the rest",
        .enabled(if: geteuid() == 0))
    func serviceUser() async throws {
        let place = try await Installation(database: true)
        let (status, output) = try await place.command("check", as: place.user)
        #expect(status == 1)
        #expect(
            output.contains(
                "FAIL  installations[0].app_secret: credential app: \(place.root)/app: permission denied: postgres may not"
            ),
            "\(output)")
        #expect(
            output.contains(
                "2 secrets are not readable here: run it as root: sudo lark-gateway check --config \(place.configuration)\n"
            ))
        #expect(output.contains("ok    database: Postgres "))
        #expect(output.contains("skip  cli_test: installations[0].app_secret is not readable here"))
        let added = try await place.command(
            "installation", "add", "cli_other", "--workspace", "w", "--agent", "a", "--secret", "env:HOME",
            as: place.user)
        #expect(added.status == 78)
        #expect(added.output.contains("lark-gateway: type it as root: sudo lark-gateway installation add cli_other "))
        // Who may not even read the configuration.
        let stranger = try await place.command("status", as: "daemon")
        #expect(stranger.status == 78)
        #expect(stranger.output.contains("\(place.configuration): permission denied: daemon may not read it"))
        #expect(
            stranger.output.contains(
                "type it as root: sudo lark-gateway status --config \(place.configuration)\n"), "\(stranger.output)")
        await place.stage.end()
    }

    @Test("another file than the service's gets nothing of it, and run takes what systemd gives alone")
    func otherFile() async throws {
        let place = try await Installation(database: false)
        let text = try String(contentsOfFile: place.configuration, encoding: .utf8)
        let copy = try Daemon(
            ["status", "--config", try Daemon.file(text)], environment: ["LARK_GATEWAY_UNIT_ROOT": place.root])
        #expect(await copy.ended() == 78)
        #expect(copy.output.contains("database_url: missing, and there is no $STATE_DIRECTORY"), "\(copy.output)")
        let run = try place.begin(["run"], as: place.user)
        #expect(await run.ended() == 78)
        let errors = run.events("configuration.invalid").compactMap { $0["error"].string }
        #expect(errors.contains { $0.contains("no $CREDENTIALS_DIRECTORY") }, "\(run.output)")
        // A credential that the unit does not hand out is a mistake, for root too.
        try text.replacing("credential:app", with: "credential:no").write(
            toFile: place.configuration, atomically: false, encoding: .utf8)
        let check = try await place.command("check")
        #expect(check.status == 78)
        #expect(check.output.contains("the installed unit has no LoadCredential=no:/path: add it"), "\(check.output)")
        await place.stage.end()
    }
}
