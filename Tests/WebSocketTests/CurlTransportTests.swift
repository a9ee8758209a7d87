import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import Testing

@testable import WebSocket

@Suite("The libcurl transport, on a real socket")
struct CurlTransportTests {
    /// A server whose end of each WebSocket does what `behave` says.
    private func serve(_ behave: @escaping @Sendable (UpgradedSocket) async -> Void) throws -> (HTTPServer, URL) {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            let key = request.headers["sec-websocket-key"] ?? ""
            let headers = ["Upgrade": "websocket", "Sec-WebSocket-Accept": Handshake.acceptValue(forKey: key)]
            return HTTPResponse(status: 101, headers: headers) { socket in Task { await behave(socket) } }
        }
        return (server, try #require(URL(string: "ws://127.0.0.1:\(server.port)/ws")))
    }

    @Test("D6: a peer that stops reading holds up no sender, and ends the connection for the reader")
    func writeStall() async throws {
        let (server, url) = try serve { _ in }
        var options = WebSocketOptions()
        options.writeStall = .milliseconds(200)
        let connection = try await CurlTransport().connect(to: url, options: options, deadline: .after(.seconds(60)))
        let reader = Task { try await connection.receive() }
        let megabyte = WebSocketMessage.binary(Array(repeating: 7, count: 1 << 20))
        let error = await #expect(throws: WebSocketError.self) {
            for _ in 0..<100 { try await connection.send(megabyte) }
        }
        #expect(error == .writeStalled)
        await #expect(throws: WebSocketError.writeStalled) { try await reader.value }
        await connection.close(.goingAway, reason: "")
        await server.stop()
    }

    @Test("megabytes go both ways, and a peer that hangs up without a close frame is an error")
    func echo() async throws {
        let (server, url) = try serve { socket in
            var machine = WebSocketProtocol(role: .server)
            while true {
                let bytes = await socket.read()
                guard !bytes.isEmpty else { return }
                for case .message(let message) in machine.receive(bytes) { machine.send(message) }
                guard await socket.write(machine.takeOutput()) else { return }
            }
        }
        let connection = try await CurlTransport().connect(
            to: url, options: WebSocketOptions(), deadline: .after(.seconds(60)))
        let message = WebSocketMessage.binary((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) })
        try await connection.send(message)
        #expect(try await connection.receive() == .message(message))
        await server.stop()
        await #expect(throws: WebSocketError.self) { try await connection.receive() }
        await connection.close(.goingAway, reason: "")
    }

    @Test("nobody there, a refusal, and a server that never answers are errors in time")
    func failures() async throws {
        let nowhere = try #require(URL(string: "ws://127.0.0.1:1/"))
        await #expect(throws: WebSocketError.self) {
            try await CurlTransport().connect(to: nowhere, options: WebSocketOptions(), deadline: .after(.seconds(60)))
        }
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            if request.path == "/slow" { try? await Task.sleep(for: .seconds(1)) }
            return .text("no", status: 403)
        }
        let base = "ws://127.0.0.1:\(server.port)"
        let error = await #expect(throws: HandshakeError.self) {
            try await CurlTransport().connect(
                to: try #require(URL(string: base)), options: WebSocketOptions(), deadline: .after(.seconds(60)))
        }
        #expect(error?.status == 403)
        await #expect(throws: DeadlineExceeded.self) {
            try await CurlTransport().connect(
                to: try #require(URL(string: base + "/slow")), options: WebSocketOptions(),
                deadline: .after(.milliseconds(300)))
        }
        await server.stop()
    }

    @Test(
        "S11: where the peer must be one of the internet no address of this machine or a private network is connected to",
        arguments: ["127.0.0.1", "lark.example", "localhost"])
    func notPublic(host: String) async throws {
        let connections = Mutex(0)
        let (server, _) = try serve { _ in connections.withLock { $0 += 1 } }
        var network = NetworkSettings()
        network.addresses = ["lark.example:\(server.port):127.0.0.1,10.255.255.1"]
        network.isInsecureAllowed = true
        var options = WebSocketOptions()
        let url = try #require(URL(string: "ws://\(host):\(server.port)/"))
        let transport = CurlTransport(network: network)
        await (try transport.connect(to: url, options: options, deadline: .after(.seconds(60)))).close(
            .normal, reason: "")
        options.mustBePublic = true
        let error = await #expect(throws: WebSocketError.self) {
            try await transport.connect(to: url, options: options, deadline: .after(.seconds(60)))
        }
        guard case .unreachable(let failure) = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(failure.cause == .refusedHere)
        #expect(failure.words.contains("is of this machine or a private network"))
        #expect(connections.withLock { $0 } == 1)
        await server.stop()
    }

    @Test("S11: ws goes to this machine alone, unless that is allowed")
    func clear() async throws {
        let (server, _) = try serve { _ in Issue.record("it was connected to") }
        var network = NetworkSettings()
        network.addresses = ["lark.example:\(server.port):127.0.0.1"]
        let url = try #require(URL(string: "ws://lark.example:\(server.port)/"))
        let error = await #expect(throws: WebSocketError.self) {
            try await CurlTransport(network: network)
                .connect(to: url, options: WebSocketOptions(), deadline: .after(.seconds(60)))
        }
        guard case .unreachable(let failure) = error else {
            return #expect(Bool(false), "\(String(describing: error))")
        }
        #expect(failure.cause == .refusedHere)
        await server.stop()
    }
}
