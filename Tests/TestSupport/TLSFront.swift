import Foundation

/// TLS in front of a plain server on loopback: socat(1).
package final class TLSFront: Sendable {
    package let port: Int
    private let process: PeerProcess

    package init(_ pair: TestCertificates.Pair, before plainPort: Int) async throws {
        port = try PeerProcess.freePort()
        let file = try TemporaryFolder.make("tls") + "/server.pem"
        try (pair.key + pair.certificates).write(toFile: file, atomically: true, encoding: .utf8)
        process = PeerProcess(
            "/usr/bin/socat",
            [
                "OPENSSL-LISTEN:\(port),bind=127.0.0.1,reuseaddr,fork,cert=\(file),verify=0",
                "TCP:127.0.0.1:\(plainPort)",
            ])
        guard try await PeerProcess.listening(on: port) else { throw PeerError(description: "no TLS front") }
    }

    package func stop() async { await process.stop() }
}
