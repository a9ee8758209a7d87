import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@testable import WebSocket

@Suite("Through a real proxy, for the WebSocket and for HTTPS alike")
struct ProxyRouteTests {
    /// A WebSocket's echo and an HTTPS answer from a server with TLS.
    private func exchange(_ proxies: Proxies, host: String = "localhost") async throws {
        let certificates = try await TestCertificates.shared
        let tls = TLSIdentity(certificates: certificates.good.certificates, key: certificates.good.key)
        let server = try WebSocketPeer.serve(tls: tls, WebSocketPeer.echo)
        var network = NetworkSettings()
        network.caFile = certificates.authority
        network.proxies = proxies
        let outcome: Result<Void, any Error>
        do {
            let connection = try await CurlTransport(network: network).connect(
                to: WebSocketPeer.url(server.port, scheme: "wss", host: host), options: WebSocketOptions(),
                deadline: .after(.seconds(60)))
            let message = WebSocketMessage.binary([UInt8](repeating: 3, count: 300_000))
            try await connection.send(message)
            #expect(try await connection.receive() == .message(message))
            await connection.close(.normal, reason: "")
            let url = try WebSocketPeer.url(server.port, scheme: "https", host: host)
            let http = HTTPExchange(settings: network)
            for _ in 0..<2 { #expect(try await http.send("POST", url, json: ["a": 1]).status == 200) }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await server.stop()
        try outcome.get()
    }

    @Test("with and without credentials", arguments: TestProxy.Kind.allCases, [false, true])
    func route(kind: TestProxy.Kind, wantsPassword: Bool) async throws {
        let proxy = try await TestProxy(kind, wantsPassword: wantsPassword)
        try await exchange(Proxies(try Proxy(proxy.url), exceptions: []))
        // It went through the proxy, and the proxy says so.
        let transcript = proxy.transcript
        #expect(transcript.contains(kind == .http ? "CONNECT localhost" : "client["), "\(transcript)")
        await proxy.stop()
    }

    @Test("S11: a proxy of a private network is one, also where the peer must be one of the internet")
    func privateProxy() async throws {
        let proxy = try await TestProxy(.socks5, wantsPassword: false)
        let server = try WebSocketPeer.serve(WebSocketPeer.echo)
        var network = NetworkSettings()
        network.proxies = Proxies(try Proxy(proxy.url), exceptions: [])
        network.isInsecureAllowed = true
        network.addresses = ["peer.example:\(server.port):127.0.0.1"]
        var options = WebSocketOptions()
        options.mustBePublic = true
        let connection = try await CurlTransport(network: network).connect(
            to: WebSocketPeer.url(server.port, scheme: "ws", host: "peer.example"), options: options,
            deadline: .after(.seconds(60)))
        try await connection.send(.binary([1]))
        #expect(try await connection.receive() == .message(.binary([1])))
        await connection.close(.normal, reason: "")
        // Around it, the same name is refused.
        network.proxies.exceptions = ["peer.example"]
        let around = CurlTransport(network: network)
        await #expect(throws: WebSocketError.self) {
            try await around.connect(
                to: WebSocketPeer.url(server.port, scheme: "ws", host: "peer.example"), options: options,
                deadline: .after(.seconds(60)))
        }
        await server.stop()
        await proxy.stop()
    }

    @Test("as the environment names it")
    func environment() async throws {
        let proxy = try await TestProxy(.http, wantsPassword: true)
        try await exchange(try Proxies(environment: ["https_proxy": proxy.url]))
        #expect(proxy.transcript.contains("CONNECT localhost"))
        await proxy.stop()
    }

    @Test("no_proxy goes around it, and nothing else does")
    func exceptions() async throws {
        let nobody = try Proxy("http://127.0.0.1:1")
        for list in [["localhost"], [".example", "LOCALHOST"], ["*"]] {
            try await exchange(Proxies(nobody, exceptions: list))
        }
        try await exchange(Proxies(nobody, exceptions: ["127.0.0.0/8"]), host: "127.0.0.1")
        await #expect(throws: WebSocketError.self) {
            try await exchange(Proxies(nobody, exceptions: ["local", "host"]))
        }
    }

    @Test(
        "a wrong password, a proxy that is away or has no name: said without the credentials",
        arguments: TestProxy.Kind.allCases)
    func failures(kind: TestProxy.Kind) async throws {
        let proxy = try await TestProxy(kind, wantsPassword: true)
        let scheme = kind.rawValue
        let cases: [(url: String, causes: [ConnectionFailure.Cause], words: String)] = [
            (proxy.url(password: "hunter2"), [.proxy], "127.0.0.1:\(proxy.port)"),
            (proxy.url(password: nil), [.proxy], "127.0.0.1:\(proxy.port)"),
            ("\(scheme)://ann:hunter2@127.0.0.1:1", [.connect, .proxy], "127.0.0.1:1"),
            ("\(scheme)://ann:hunter2@no-such-proxy.invalid:1", [.proxy, .nameResolution], "no-such-proxy.invalid"),
        ]
        for (url, causes, words) in cases {
            let error = await #expect(throws: WebSocketError.self) {
                try await exchange(Proxies(try Proxy(url), exceptions: []))
            }
            guard case .unreachable(let failure) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(causes.contains(failure.cause), "\(failure) \(failure.cause)")
            #expect(failure.description.contains(words), "\(failure)")
            #expect(!failure.description.contains("hunter2"))
        }
        await proxy.stop()
    }

    @Test("a proxy that refuses the target says so")
    func refusedTarget() async throws {
        let proxy = try await TestProxy(.http, wantsPassword: false)
        var network = NetworkSettings()
        network.proxies = Proxies(try Proxy(proxy.url), exceptions: [])
        let error = await #expect(throws: WebSocketError.self) {
            try await CurlTransport(network: network).connect(
                to: WebSocketPeer.url(1, scheme: "ws"), options: WebSocketOptions(), deadline: .after(.seconds(60)))
        }
        #expect(
            error.map { "\($0)" }?.contains("the proxy refused to connect (500)") == true,
            "\(String(describing: error))")
        await proxy.stop()
    }
}
