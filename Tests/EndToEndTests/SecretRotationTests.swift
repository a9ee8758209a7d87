import Foundation
import Lark
import LarkSimulator
import TestSupport
import Testing

/// What README.md says under "To rotate a secret", through the real daemon.
@Suite("Rotating a secret")
struct SecretRotationTests {
    private static let key = String(repeating: "5e", count: 32)
    private static let nextKey = String(repeating: "7f", count: 32)

    private func write(_ text: String, to path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o600)
    }

    private func connections(_ count: Int, _ stage: Stage) async -> Bool {
        await stage.simulator.wait(until: .after(.seconds(30))) { $0.connectionCount == count }
    }

    @Test("10: file: a new secret is used by itself, whatever stands in the configuration file meanwhile; never logged")
    func file() async throws {
        let stage = try await Stage()
        let secret = try TemporaryFolder.make("secret") + "/app"
        try write("wr0ng-5ecret", to: secret)
        let path = try Daemon.file(stage.configuration(secret: "file:\(secret)"))
        let daemon = try Daemon(["run", "--config", path])
        #expect(try await daemon.logs("installation.refused"))

        // Somebody is writing in it, and has not asked for anything.
        try write("{", to: path)
        try write(Stage.app.secret, to: secret)
        #expect(await connections(1, stage))
        let changed = try await daemon.logged("secret.changed")
        #expect(changed.map { $0["keys"].string } == ["installations[0].app_secret"])
        #expect(changed.first?["level"].string == "info")
        #expect(try await daemon.logs("installation.credentials_changed"))

        // Not what it should be: the old one stays, and one line says so, also over several looks.
        try write("\n", to: secret)
        let unusable = try await daemon.logged("secret.unusable")
        #expect(unusable.first?["problem"].string == "it is empty")
        #expect(unusable.first?["keys"].string == "installations[0].app_secret")
        #expect(await connections(1, stage))
        try write("other-5ecret", to: secret)
        #expect(try await daemon.logs("secret.changed", count: 2))
        #expect(await connections(0, stage))
        #expect(daemon.events("secret.unusable").count == 1)
        #expect(daemon.events("configuration.refused").isEmpty && daemon.events("configuration.reloaded").isEmpty)
        #expect(!daemon.output.contains("5ecret") && !daemon.output.contains(Stage.app.secret))
        await stage.end(daemon)
    }

    @Test("10: a folder of secrets that is swapped behind a link, as Kubernetes does it; a reload takes it at once")
    func links() async throws {
        let stage = try await Stage()
        let folder = try TemporaryFolder.make("secrets")
        func version(_ name: String, _ secret: String) throws {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
            try write(secret, to: "\(folder)/\(name)/app")
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/next", withDestinationPath: name)
            #expect(rename("\(folder)/next", "\(folder)/..data") == 0)
        }
        try version("..1", "wrong")
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/app", withDestinationPath: "..data/app")
        let daemon = try Daemon.run(stage.configuration(secret: "file:\(folder)/app"))
        #expect(try await daemon.logs("installation.refused"))
        try version("..2", Stage.app.secret)
        #expect(await connections(1, stage))

        try version("..3", "wrong again")
        daemon.signal(SIGHUP)
        #expect(try await daemon.logged("configuration.reloaded").first?["applied"].string == "installations")
        #expect(await connections(0, stage))
        await stage.end(daemon)
    }

    @Test("10: the sealing key, and the address of the database, which needs a restart")
    func keys() async throws {
        let stage = try await Stage()
        let folder = try TemporaryFolder.make("secrets")
        func configuration(_ key: String, _ previous: String = "[]") -> String {
            """
            {"database_url": "file:\(folder)/database", "metrics": {"listen": null},
             "sealing": {"key": "\(key)", "previous": \(previous)}}
            """
        }
        try write(stage.url, to: folder + "/database")
        try write(Self.nextKey, to: folder + "/key")
        let add = try Daemon(
            [
                "installation", "add", Stage.app.id, "--workspace", "acme", "--agent", "support", "--domain",
                stage.larkURL, "--secret", "env:SECRET", "--config", try Daemon.file(configuration(Self.key)),
            ], environment: ["SECRET": Stage.app.secret])
        #expect(await add.ended() == 0, "\(add.output)")
        let path = try Daemon.file(configuration("file:\(folder)/key", "[\"file:\(folder)/key\"]"))
        let daemon = try Daemon(["run", "--config", path])
        #expect(try await daemon.logs("installation.secret_locked"))

        try write("no key", to: folder + "/key")
        let unusable = try await daemon.logged("secret.unusable").first
        #expect(unusable?["keys"].string == "sealing.key sealing.previous[0]")
        #expect(unusable?["problem"].string?.contains("not 32 bytes") == true)
        try write(Self.key, to: folder + "/key")
        #expect(await connections(1, stage))

        try write(stage.url + " connect_timeout=7", to: folder + "/database")
        #expect(try await daemon.logs("secret.changed", count: 2))
        let changed = daemon.events("secret.changed")
        #expect(changed.map { $0["keys"].string } == ["sealing.key sealing.previous[0]", "database_url"])
        #expect(changed.map { $0["level"].string } == ["info", "warning"])
        #expect(changed.last?["hint"].string?.contains("restart") == true)
        await stage.end(daemon)
    }

    @Test("10: credential: a reload says that systemd hands it out at a start; where it did change, it is used")
    func credential() async throws {
        let stage = try await Stage()
        let folder = try TemporaryFolder.make("credentials")
        try write("wrong", to: folder + "/app")
        let daemon = try Daemon(
            ["run", "--config", try Daemon.file(stage.configuration(secret: "credential:app"))],
            environment: ["CREDENTIALS_DIRECTORY": folder])
        #expect(try await daemon.logs("installation.refused"))
        daemon.signal(SIGHUP)
        let first = try #require(try await daemon.logged("configuration.reloaded").first)
        #expect(first["level"].string == "info")
        #expect(first["credentials"].string?.contains("restart to take a new one") == true)
        #expect(first["applied"].string == nil)

        try write(Stage.app.secret, to: folder + "/app")
        daemon.signal(SIGHUP)
        #expect(await connections(1, stage))
        let second = try #require(try await daemon.logged("configuration.reloaded", count: 2).last)
        #expect(second["credentials"].string == nil)
        #expect(second["applied"].string == "installations")
        await stage.end(daemon)
    }
}
