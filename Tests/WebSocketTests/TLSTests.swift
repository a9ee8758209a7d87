import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@testable import WebSocket

@Suite("TLS, for the WebSocket and for HTTPS alike")
struct TLSTests {
    /// Opens a WebSocket, and asks over HTTPS, at one server; both must agree.
    private func outcome(
        _ pair: TestCertificates.Pair, caFile: String?, systemStore: TrustStore = .system,
        priorities: String = "NORMAL", host: String = "localhost"
    ) async throws -> ConnectionFailure? {
        let server = try WebSocketPeer.serve(
            tls: TLSIdentity(certificates: pair.certificates, key: pair.key, priorities: priorities), WebSocketPeer.echo
        )
        var network = NetworkSettings()
        network.caFile = caFile
        network.systemStore = systemStore
        network.addresses = ["\(host):\(server.port):127.0.0.1"]
        var failures: [ConnectionFailure?] = []
        do {
            let connection = try await CurlTransport(network: network).connect(
                to: WebSocketPeer.url(server.port, scheme: "wss", host: host), options: WebSocketOptions(),
                deadline: .after(.seconds(60)))
            let message = WebSocketMessage.binary([UInt8](repeating: 9, count: 20_000))
            try await connection.send(message)
            #expect(try await connection.receive() == .message(message))
            await connection.close(.normal, reason: "")
            failures.append(nil)
        } catch WebSocketError.unreachable(let failure) {
            failures.append(failure)
        }
        do {
            let url = try WebSocketPeer.url(server.port, scheme: "https", host: host)
            #expect(try await HTTPExchange(settings: network).send("GET", url).body == Data("ok".utf8))
            failures.append(nil)
        } catch let failure as ConnectionFailure {
            failures.append(failure)
        }
        await server.stop()
        #expect(failures[0] == failures[1])
        return failures[0]
    }

    @Test("a private authority is trusted when ca_file names it, beside the system's")
    func good() async throws {
        let certificates = try await TestCertificates.shared
        #expect(try await outcome(certificates.good, caFile: certificates.authority) == nil)
        #expect(try await outcome(certificates.good, caFile: certificates.authority, host: "127.0.0.1") == nil)
    }

    @Test("where the system has no folder of hashed names, its bundle and ca_file are both trusted, and nothing else")
    func bundles() async throws {
        let certificates = try await TestCertificates.shared
        let stranger = TrustStore(folders: ["/nowhere", "/etc"], bundle: certificates.stranger)
        let authority = TrustStore(folders: [], bundle: certificates.authority)
        let good = certificates.good
        #expect(try await outcome(good, caFile: nil, systemStore: authority) == nil)
        #expect(try await outcome(good, caFile: certificates.authority, systemStore: stranger) == nil)
        #expect(try await outcome(good, caFile: certificates.stranger, systemStore: authority) == nil)
        for caFile in [nil, certificates.stranger] {
            #expect(try await outcome(good, caFile: caFile, systemStore: stranger)?.cause == .certificate)
        }
        for pair in [certificates.expired, certificates.wrongHost] {
            #expect(
                try await outcome(pair, caFile: certificates.authority, systemStore: stranger)?.cause == .certificate)
        }
    }

    @Test("without ca_file a private authority is unknown, and the words name the host and the reason")
    func unknown() async throws {
        let certificates = try await TestCertificates.shared
        for caFile in [nil, certificates.stranger] {
            let failure = try #require(try await outcome(certificates.good, caFile: caFile))
            #expect(failure.cause == .certificate)
            #expect(
                failure.description.contains(
                    "no connection to localhost (127.0.0.1): the certificate is refused: unable to get local issuer"))
        }
        let failure = try #require(try await outcome(certificates.unknownAuthority, caFile: certificates.authority))
        #expect(failure.cause == .certificate)
    }

    @Test("an expired, a self-signed and another host's certificate are refused, each in its words")
    func refused() async throws {
        let certificates = try await TestCertificates.shared
        let cases = [
            (certificates.expired, "certificate has expired"),
            (certificates.selfSigned, "self-signed certificate"),
            (certificates.wrongHost, "does not match target host name 'localhost'"),
        ]
        for (pair, words) in cases {
            let failure = try #require(try await outcome(pair, caFile: certificates.authority))
            #expect(failure.cause == .certificate)
            #expect(failure.host == "localhost")
            #expect(
                failure.words.contains(words) || failure.words.contains("no alternative certificate subject name"),
                "\(failure)")
        }
    }

    @Test("TLS older than 1.2 is refused")
    func oldVersions() async throws {
        let certificates = try await TestCertificates.shared
        let failure = try #require(
            try await outcome(
                certificates.good, caFile: certificates.authority, priorities: "NORMAL:-VERS-ALL:+VERS-TLS1.1"))
        #expect(failure.cause == .tls, "\(failure)")
        #expect(
            try await outcome(
                certificates.good, caFile: certificates.authority, priorities: "NORMAL:-VERS-ALL:+VERS-TLS1.2") == nil)
    }

    @Test("a ca_file that is gone, and a server without TLS, are said so")
    func otherFailures() async throws {
        let certificates = try await TestCertificates.shared
        let failure = try #require(try await outcome(certificates.good, caFile: "/nowhere/ca.pem"))
        #expect(failure.cause == .caFile)
        let plain = try WebSocketPeer.serve(WebSocketPeer.echo)
        let error = await #expect(throws: WebSocketError.self) {
            try await CurlTransport().connect(
                to: WebSocketPeer.url(plain.port, scheme: "wss"), options: WebSocketOptions(),
                deadline: .after(.seconds(60)))
        }
        guard case .unreachable(let failure) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(failure.cause == .tls)
        await plain.stop()
    }

    @Test("D6: over TLS too, what is sent behind a write that can't go on arrives whole once it can")
    func stalledWrites() async throws {
        let certificates = try await TestCertificates.shared
        let mayRead = AsyncEvent()
        let server = try WebSocketPeer.serve { socket in
            await mayRead.wait()
            await WebSocketPeer.echo(socket)
        }
        let front = try await TLSFront(certificates.good, before: server.port)
        var network = NetworkSettings()
        network.caFile = certificates.authority
        var options = WebSocketOptions()
        options.maxUnsentBytes = 64 << 20
        // The server reads when a busy machine lets it.
        options.writeStall = .seconds(60)
        let connection = try await CurlTransport(network: network).connect(
            to: WebSocketPeer.url(front.port, scheme: "wss"), options: options, deadline: .after(.seconds(60)))
        let messages = (0..<400).map {
            WebSocketMessage.binary([UInt8](repeating: UInt8($0 % 251), count: 1_000 + $0 * 100))
        }
        for message in messages { try await connection.send(message) }
        mayRead.set()
        do {
            for message in messages { #expect(try await connection.receive() == .message(message)) }
        } catch {
            Issue.record("\(error); the TLS front says: \(front.transcript)")
        }
        await connection.close(.normal, reason: "")
        await front.stop()
        await server.stop()
    }
}
