import AsyncRuntime
import Foundation

/// A certificate authority of the test run's own, and what it signs; made with openssl(1), once.
package struct TestCertificates: Sendable {
    package struct Pair: Sendable {
        package let certificates: String
        package let key: String
    }

    /// The authority's certificate, for `ca_file`.
    package let authority: String
    /// Another authority's.
    package let stranger: String
    /// For localhost and 127.0.0.1.
    package let good: Pair
    package let expired: Pair
    /// For another host.
    package let wrongHost: Pair
    package let selfSigned: Pair
    /// By the other authority.
    package let unknownAuthority: Pair

    private static let made = Task { try await TestCertificates() }
    package static var shared: TestCertificates { get async throws { try await made.value } }

    private init() async throws {
        let folder = try TemporaryFolder.make("certificates")
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        let local = "DNS:localhost,IP:127.0.0.1"
        func leaf(_ name: String, by authority: String, hosts: String, days: Int) -> String {
            """
            openssl req \(key) -keyout \(name).key -out \(name).csr -subj /CN=\(name) -addext subjectAltName=\(hosts)
            openssl x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority).key -copy_extensions copy \
              -days \(days) -out \(name).pem
            """
        }
        let script = """
            set -e
            cd '\(folder)'
            for name in authority stranger; do
              openssl req -x509 \(key) -keyout $name.key -out $name.pem -days 30 -subj "/CN=Test $name"
            done
            openssl req -x509 \(key) -keyout self.key -out self.pem -days 30 -subj /CN=self -addext subjectAltName=\(local)
            \(leaf("good", by: "authority", hosts: local, days: 30))
            \(leaf("expired", by: "authority", hosts: local, days: -1))
            \(leaf("elsewhere", by: "authority", hosts: "DNS:elsewhere.example", days: 30))
            \(leaf("unknown", by: "stranger", hosts: local, days: 30))
            """
        let result = try await ChildProcess.run(
            "/bin/sh", ["-c", script], environment: ProcessInfo.processInfo.environment, deadline: .after(.seconds(60)))
        guard result.status == 0 else {
            throw PeerError(description: "openssl: \(String(decoding: result.errorOutput.suffix(500), as: UTF8.self))")
        }
        func pair(_ name: String) throws -> Pair {
            Pair(
                certificates: try String(contentsOfFile: "\(folder)/\(name).pem", encoding: .utf8),
                key: try String(contentsOfFile: "\(folder)/\(name).key", encoding: .utf8))
        }
        authority = folder + "/authority.pem"
        stranger = folder + "/stranger.pem"
        good = try pair("good")
        expired = try pair("expired")
        wrongHost = try pair("elsewhere")
        selfSigned = try pair("self")
        unknownAuthority = try pair("unknown")
    }
}
