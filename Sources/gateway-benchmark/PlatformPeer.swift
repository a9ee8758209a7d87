import Foundation
import Lark
import LarkSimulator

/// A simulated platform with many apps, in a process of its own.
enum PlatformPeer {
    /// The word that makes this executable the platform.
    static let word = "--platform-peer"

    static func app(_ number: Int) -> SimulatedApp { SimulatedApp(id: "cli_\(number)", secret: "secret-\(number)") }

    /// Serves until the parent is gone.
    static func serve(portFile: String, apps: Int) async throws {
        let simulator = LarkSimulator(apps: (0..<apps).map(app))
        try await simulator.start()
        let port = await simulator.url.split(separator: ":").last ?? ""
        try String(port).write(toFile: portFile, atomically: true, encoding: .utf8)
        while getppid() != 1 { try await Task.sleep(for: .milliseconds(500)) }
    }
}
