import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@testable import WebSocket

/// What a server gets to see that is not who it says, or that gives a URL with more in it than an address.
@Suite("What an untrusted server gets")
struct UntrustedServersTests {
    @Test(
        "a certificate of another name or of an unknown authority: no request gets through, by HTTPS nor as a WebSocket"
    )
    func noRequest() async throws {
        let certificates = try await TestCertificates.shared
        for pair in [certificates.wrongHost, certificates.unknownAuthority] {
            let heard = Recorder<String>()
            let server = try HTTPServer(
                host: "127.0.0.1", port: 0, tls: TLSIdentity(certificates: pair.certificates, key: pair.key)
            ) { request in
                heard.record("\(request.method) \(request.path)")
                return .text("ok")
            }
            var network = NetworkSettings()
            network.caFile = certificates.authority
            network.addresses = ["localhost:\(server.port):127.0.0.1"]
            let error = await #expect(throws: ConnectionFailure.self) {
                try await HTTPExchange(settings: network).send(
                    "POST", WebSocketPeer.url(server.port, scheme: "https", host: "localhost"),
                    json: ["app_secret": "s3cret"])
            }
            #expect(error?.cause == .certificate)
            await #expect(throws: WebSocketError.self) {
                try await CurlTransport(network: network).connect(
                    to: WebSocketPeer.url(server.port, scheme: "wss", host: "localhost"), options: WebSocketOptions(),
                    deadline: .after(.seconds(60)))
            }
            await server.stop()
            #expect(heard.all.isEmpty, "\(heard.all)")
        }
    }

    @Test(
        "line breaks in a URL become no headers of the upgrade, and its user and password are not sent",
        arguments: [
            "/ws?ticket=1%0d%0aX-Injected:%20yes", "/ws?ticket=1\r\nX-Injected: yes\r\n\r\nGET /other HTTP/1.1",
            "/ws\nX-Injected:yes?ticket=1", "/%0D%0AX-Injected:%20yes/ws?ticket=1",
        ])
    func injection(rest: String) async throws {
        let heads = Recorder<String>()
        let server = try RawServer { peer in
            let head = peer.readHead()
            heads.record(head)
            peer.write(WebSocketPeer.upgradeAnswer(to: head))
        }
        for user in ["", "ann:hunter2@"] {
            // What is no URL for us is refused at the bootstrap.
            guard let url = URL(string: "ws://\(user)127.0.0.1:\(server.port)\(rest)") else { continue }
            let connection = try await CurlTransport().connect(
                to: url, options: WebSocketOptions(), deadline: .after(.seconds(60)))
            await connection.close(.normal, reason: "")
        }
        #expect(!heads.all.isEmpty)
        for head in heads.all {
            let names = head.split(separator: "\r\n").dropFirst().map { $0.prefix { $0 != ":" }.lowercased() }
            #expect(
                names.sorted() == [
                    "connection", "host", "sec-websocket-key", "sec-websocket-version", "upgrade", "user-agent",
                ], "\(head)")
            #expect(head.split(separator: "\r\n").first?.hasSuffix(" HTTP/1.1") == true)
            #expect(head.contains("\r\nHost: 127.0.0.1:\(server.port)\r\n"))
            #expect(head.replacing("\r\n", with: "").allSatisfy { $0.isASCII && $0 >= " " })
            #expect(!head.contains("hunter2") && !head.contains(Data("ann:hunter2".utf8).base64EncodedString()))
        }
    }
}
