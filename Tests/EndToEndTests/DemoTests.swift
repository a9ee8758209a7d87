import AsyncRuntime
import Foundation
import TestSupport
import Testing

@Suite("The demo")
struct DemoTests {
    @Test("its folder has a name that nobody can guess, is open to its user alone, and is gone afterwards")
    func folder() async throws {
        let parent = try TemporaryFolder.make("demo")
        chmod(parent, 0o1777)
        let demo = try Daemon(
            ["demo"], user: geteuid() == 0 ? "postgres" : nil, environment: ["TMPDIR": parent + "/"])
        @Sendable func folders() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: parent).filter { $0.hasPrefix("lark-gateway-demo") }
        }
        #expect(try await eventually { try !folders().isEmpty })
        let name = try #require(try folders().first)
        #expect(name != "lark-gateway-demo-\(demo.processID ?? 0)" && name.hasPrefix("lark-gateway-demo."))
        let attributes = try FileManager.default.attributesOfItem(atPath: parent + "/" + name)
        #expect(attributes[.posixPermissions] as? Int == 0o700)
        // In the middle of it, so that it ends in order.
        #expect(try await eventually { demo.output.contains("a simulated Lark listens") })
        demo.signal(SIGTERM)
        _ = await demo.ended()
        #expect(try folders().isEmpty)
    }

    @Test("without a folder for temporary files it says so")
    func noFolder() async throws {
        let demo = try Daemon(
            ["demo"], user: geteuid() == 0 ? "postgres" : nil, environment: ["TMPDIR": "/nowhere/"])
        #expect(await demo.ended() == 1)
        #expect(demo.output.contains("no folder can be made in /nowhere/"), "\(demo.output)")
    }
}
