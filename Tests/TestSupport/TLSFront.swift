import Foundation

/// TLS in front of a plain server on loopback: socat(1).
package final class TLSFront: Sendable {
    package let port: Int
    private let process: PeerProcess
    private let log: String

    package init(_ pair: TestCertificates.Pair, before plainPort: Int) async throws {
        port = try PeerProcess.freePort()
        let folder = try TemporaryFolder.make("tls")
        let file = folder + "/server.pem"
        log = folder + "/log"
        try (pair.key + pair.certificates).write(toFile: file, atomically: true, encoding: .utf8)
        process = PeerProcess(
            "/usr/bin/socat",
            [
                "-lf", log, "-d", "-d", "OPENSSL-LISTEN:\(port),bind=127.0.0.1,reuseaddr,fork,cert=\(file),verify=0",
                "TCP:127.0.0.1:\(plainPort)",
            ])
        guard try await PeerProcess.listening(on: port) else { throw PeerError(description: "no TLS front") }
    }

    /// What it says that it did.
    package var transcript: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    package func stop() async { await process.stop() }
}
