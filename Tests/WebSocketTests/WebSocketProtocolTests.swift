import Foundation
import Testing

@testable import WebSocket

@Suite("RFC 6455 as a value")
struct WebSocketProtocolTests {
    private func pair(limit: Int = 1 << 20) -> (client: WebSocketProtocol, server: WebSocketProtocol) {
        (
            WebSocketProtocol(
                role: .client, limits: WebSocketLimits(maxFrameBytes: limit, maxMessageBytes: limit),
                nextMask: { 0x1234_5678 }),
            WebSocketProtocol(role: .server, limits: WebSocketLimits(maxFrameBytes: limit, maxMessageBytes: limit))
        )
    }

    private func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] { [first, UInt8(payload.count)] + payload }

    @Test(
        "what one end sends the other receives, in each size of length field",
        arguments: [0, 1, 125, 126, 65_535, 65_536, 300_000])
    func sizes(size: Int) {
        var (client, server) = pair()
        let message = WebSocketMessage.binary((0..<size).map { UInt8(truncatingIfNeeded: $0) })
        client.send(message)
        #expect(server.receive(client.takeOutput()) == [.message(message)])
        server.send(message)
        #expect(client.receive(server.takeOutput()) == [.message(message)])
    }

    @Test("the bytes of section 5.7's examples")
    func examples() {
        var client = pair().client
        #expect(client.receive([0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]) == [.message(.text("Hello"))])
        #expect(client.receive([0x01, 0x03, 0x48, 0x65, 0x6c]) == [])
        #expect(client.receive([0x80, 0x02, 0x6c, 0x6f]) == [.message(.text("Hello"))])
        var server = pair().server
        #expect(
            server.receive([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
                == [.message(.text("Hello"))])
    }

    @Test("a stream means the same wherever it is cut")
    func cuts() {
        var server = pair().server
        for message in [WebSocketMessage.text("ünï"), .binary([1, 2, 3]), .binary(Array(repeating: 7, count: 200))] {
            server.send(message)
        }
        server.ping([9])
        let bytes = server.takeOutput() + [0x02, 0x01, 0x61, 0x80, 0x01, 0x62]
        var whole = pair().client
        let expected = whole.receive(bytes)
        #expect(expected.count == 5)
        for cut in 0...bytes.count {
            var client = pair().client
            #expect(client.receive(Array(bytes[..<cut])) + client.receive(Array(bytes[cut...])) == expected)
        }
        var slow = pair().client
        #expect(bytes.flatMap { slow.receive([$0]) } == expected)
    }

    @Test("a ping between fragments is answered with its payload, and the message goes on")
    func pingBetweenFragments() {
        var (client, server) = pair()
        #expect(client.receive(frame(0x02, [1])) == [])
        #expect(client.receive(frame(0x89, [5, 6])) == [.ping([5, 6])])
        #expect(server.receive(client.takeOutput()) == [.pong([5, 6])])
        #expect(client.receive(frame(0x80, [2])) == [.message(.binary([1, 2]))])
    }

    @Test("closing: both ends agree, and nothing follows")
    func closing() {
        var (client, server) = pair()
        server.close(.goingAway, reason: "later")
        #expect(client.receive(server.takeOutput()) == [.closed(.goingAway, reason: "later")])
        #expect(server.receive(client.takeOutput()) == [.closed(.goingAway, reason: "")])
        #expect(!client.send(.binary([1])) && !server.send(.binary([1])))
        #expect(client.receive(frame(0x82, [1])) == [])
    }

    @Test("a close frame without a code is 1005")
    func closeWithoutCode() {
        var client = pair().client
        #expect(client.receive([0x88, 0x00]) == [.closed(.noStatus, reason: "")])
        #expect(client.takeOutput().count == 6, "answered without a code")
    }

    @Test(
        "a broken rule ends the connection with its code",
        arguments: [
            ([0xC1, 0x00], 1002), ([0x83, 0x00], 1002), ([0x82, 0x81, 0, 0, 0, 0, 1], 1002), ([0x09, 0x00], 1002),
            ([0x89, 0x7E, 0, 126], 1002), ([0x80, 0x00], 1002), ([0x02, 0x00, 0x02, 0x00], 1002),
            ([0x88, 0x01, 0x03], 1002),
            ([0x88, 0x02, 0x03, 0xED], 1002), ([0x88, 0x04, 0x03, 0xE8, 0xFF, 0xFF], 1007), ([0x81, 0x01, 0xFF], 1007),
            ([0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002), ([0x82, 0x7F, 0, 0, 0, 0, 0x7F, 0, 0, 0], 1009),
        ] as [([UInt8], UInt16)])
    func violations(bytes: [UInt8], code: UInt16) {
        var client = pair().client
        guard case .failed(let found, _)? = client.receive(bytes).last else {
            return #expect(Bool(false), "not refused")
        }
        #expect(found.rawValue == code)
        var server = pair().server
        #expect(server.receive(client.takeOutput()) == [.closed(found, reason: "")], "the peer is told")
        #expect(client.receive(frame(0x82, [1])) == [], "nothing is read after it")
    }

    @Test("a message in fragments has the same limit as one in a piece")
    func limit() {
        var client = pair(limit: 10).client
        #expect(client.receive(frame(0x02, Array(repeating: 1, count: 6))) == [])
        guard case .failed(.messageTooBig, _)? = client.receive(frame(0x80, Array(repeating: 1, count: 6))).first else {
            return #expect(Bool(false))
        }
    }

    @Test("random bytes never trap, in either role")
    func fuzz() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<3_000 {
            var (client, server) = pair(limit: 1000)
            let bytes = (0..<Int.random(in: 1...40)).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            _ = client.receive(bytes)
            _ = server.receive(bytes)
        }
    }
}

@Suite("The opening handshake")
struct HandshakeTests {
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    private static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    private func parse(_ text: String) throws -> [UInt8]? {
        var parser = Handshake.ResponseParser(key: Self.key)
        return try parser.receive(Array(text.replacingOccurrences(of: "\n", with: "\r\n").utf8))
    }

    @Test("the accept value of RFC 6455, section 1.3, and SHA-1's own vectors")
    func acceptValue() {
        #expect(Handshake.acceptValue(forKey: Self.key) == Self.accept)
        func hex(_ text: String) -> String { SHA1.hash(Array(text.utf8)).map { String(format: "%02x", $0) }.joined() }
        #expect(hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(
            hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
    }

    @Test("a good answer, and the frames that came behind it, wherever it is cut")
    func good() throws {
        let text =
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
            + "Sec-WebSocket-Accept: \(Self.accept)\r\n\r\nxy"
        let bytes = Array(text.utf8)
        for cut in 0..<bytes.count - 2 {
            var parser = Handshake.ResponseParser(key: Self.key)
            #expect(try parser.receive(bytes[..<cut]) == nil)
            #expect(try parser.receive(bytes[cut...]) == Array("xy".utf8))
        }
    }

    @Test(
        "anything else is refused, with status and headers",
        arguments: [
            "HTTP/1.1 403 Forbidden\nHandshake-Status: 403\n\n", "SSH-2.0-OpenSSH\n\n", "HTTP/1.1 101 x\n\n",
            "HTTP/1.1 101 x\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: wrong\n\n",
            "HTTP/1.1 101 x\nUpgrade: websocket\nConnection: close\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n",
            "HTTP/1.1 101 x\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nSec-WebSocket-Extensions: permessage-deflate\n\n",
            String(repeating: "x", count: 20_000),
        ])
    func refused(text: String) throws {
        let error = #expect(throws: HandshakeError.self) { try parse(text) }
        if text.contains("403") {
            #expect(try #require(error).status == 403)
            #expect(try #require(error).headers["handshake-status"] == "403")
        }
    }

    @Test("a URL becomes what libcurl connects to and what HTTP asks for")
    func targets() throws {
        let plain = try WebSocketTarget(try #require(URL(string: "ws://127.0.0.1:8080/a/b?c=d%20e")))
        #expect(plain.connectURL == "http://127.0.0.1:8080/")
        #expect((plain.host, plain.hostHeader, plain.isSecure) == ("127.0.0.1", "127.0.0.1:8080", false))
        #expect(plain.requestTarget == "/a/b?c=d%20e")
        let secure = try WebSocketTarget(try #require(URL(string: "wss://[::1]?q=1")))
        #expect(secure.connectURL == "https://[::1]/")
        #expect((secure.hostHeader, secure.isSecure) == ("[::1]", true))
        #expect(secure.requestTarget == "/?q=1")
        #expect(throws: WebSocketError.self) { try WebSocketTarget(try #require(URL(string: "https://host/"))) }
    }
}
