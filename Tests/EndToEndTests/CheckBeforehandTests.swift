import AsyncRuntime
import Foundation
import HTTPServer
import TestSupport
import Testing

@Suite("What check finds before run does")
struct CheckBeforehandTests {
    private static let user = geteuid() == 0 ? "postgres" : nil

    private func check(_ text: String) async throws -> (status: Int32, output: String) {
        let file = try Daemon.file(text, for: Self.user)
        let command = try Daemon(["check", "--config", file], user: Self.user)
        return (await command.ended(), command.output)
    }

    @Test("a port that somebody else has fails; one that the running gateway has is as it should be")
    func ports() async throws {
        let stage = try await Stage()
        let taken = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text("mine\n") }
        let pairing = #"""
            , "public_url": "https://e.com", "pairing": {"listen": "127.0.0.1:\#(taken.port)"}
            """#
        for (key, text) in [
            (
                "metrics.listen",
                stage.configuration().replacing("127.0.0.1:0", with: "127.0.0.1:\(taken.port)")
            ), ("pairing.listen", stage.configuration(extra: pairing)),
        ] {
            let (status, output) = try await check(text)
            #expect(status == 1)
            #expect(
                output.contains(
                    "FAIL  \(key): can't listen on 127.0.0.1:\(taken.port): Address already in use; set \(key) to another port"
                ),
                "\(output)")
            #expect(output.contains("ok    cli_test"), "it goes on with the rest")
        }
        await taken.stop()

        let daemon = try await stage.start(
            stage.configuration(extra: #", "public_url": "https://e.com", "pairing": {"listen": "127.0.0.1:0"}"#))
        let port = try #require(daemon.events("metrics.listening").first?["port"].integer)
        let page = try #require(daemon.events("pairing.listening").first?["port"].integer)
        let own = pairing.replacing("\(taken.port)", with: "\(page)")
        let text = stage.configuration(extra: own).replacing("127.0.0.1:0", with: "127.0.0.1:\(port)")
        let (status, output) = try await check(text)
        #expect(status == 0)
        #expect(
            output.contains("ok    metrics.listen: 127.0.0.1:\(port) is held by the running gateway\n"), "\(output)")
        #expect(
            output.contains("ok    pairing.listen: 127.0.0.1:\(page) is held by the running gateway\n"), "\(output)")
        await stage.end(daemon)
    }

    @Test("a state directory that can't be made, that others may change, or that is somebody else's")
    func stateDirectory() async throws {
        let folder = try TemporaryFolder.make("state")
        chmod(folder, 0o555)
        func words(_ directory: String) async throws -> String {
            let (status, output) = try await check(
                #"{"state_directory": "\#(directory)", "metrics": {"listen": null}}"#)
            #expect(status == 78, "\(output)")
            return output
        }
        let inside = try await words(folder + "/in/it")
        #expect(inside.contains("FAIL  state_directory: \(folder)/in/it is not there, and "), "\(inside)")
        #expect(inside.contains(" may make nothing in \(folder); type: sudo install -d -m 700 -o "))
        let open = try TemporaryFolder.make("state")
        if let user = Self.user { chown(open, try #require(getpwnam(user)).pointee.pw_uid, gid_t.max) }
        chmod(open, 0o777)
        #expect(try await words(open).contains("others may change it (its mode is 777): chmod go-w \(open)"))
        #expect(try await words("/etc/passwd").contains("FAIL  state_directory: /etc/passwd is no folder"))
        if Self.user != nil {
            #expect(try await words(folder).contains("it belongs to root, and not to postgres"))
        }
        #expect(!FileManager.default.fileExists(atPath: folder + "/in"))
    }

    @Test(
        "root, who does not run the daemon, is told of a state directory that is root's", .enabled(if: geteuid() == 0))
    func root() async throws {
        let folder = try TemporaryFolder.make("state")
        let file = try Daemon.file(#"{"state_directory": "\#(folder)", "metrics": {"listen": null}}"#)
        let check = try Daemon(["check", "--config", file])
        #expect(await check.ended() == 78)
        #expect(check.output.contains("\(folder) belongs to root, as whom no Postgres runs; type: sudo chown "))
        chown(folder, try #require(getpwnam("postgres")).pointee.pw_uid, gid_t.max)
        let good = try Daemon(["check", "--config", file])
        #expect(await good.ended() == 0, "\(good.output)")
    }
}
