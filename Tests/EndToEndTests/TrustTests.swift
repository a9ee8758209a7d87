import Foundation
import HTTPServer
import TestSupport
import Testing

@Suite("Whom the daemon trusts")
struct TrustTests {
    @Test("an authority that only the environment's variables for OpenSSL and curl name is trusted by nobody")
    func environment() async throws {
        let certificates = try await TestCertificates.shared
        let stage = try await Stage(
            tls: TLSIdentity(certificates: certificates.good.certificates, key: certificates.good.key))
        func check(_ network: String) async throws -> (Int32, String) {
            let configuration = stage.configuration(extra: #", "network": {\#(network)"proxy": null}"#)
            let command = try Daemon(
                ["check", "--config", try Daemon.file(configuration)],
                environment: [
                    "SSL_CERT_FILE": certificates.authority, "CURL_CA_BUNDLE": certificates.authority,
                    "SSL_CERT_DIR": (certificates.authority as NSString).deletingLastPathComponent,
                    "REQUESTS_CA_BUNDLE": certificates.authority,
                ])
            return (await command.ended(), command.output)
        }
        let refused = try await check("")
        #expect(refused.0 == 1 && refused.1.contains("the certificate is refused"), "\(refused.1)")
        let trusted = try await check(#""ca_file": "\#(certificates.authority)", "#)
        #expect(trusted.0 == 0, "\(trusted.1)")
        await stage.end()
    }
}
