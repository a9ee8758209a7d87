import Foundation
import HTTPServer
import TestSupport

@testable import WebSocket

/// The servers that the tests of transports talk to.
enum WebSocketPeer {
    /// Each connection does what `behave` says, after the handshake.
    static func serve(
        tls: TLSIdentity? = nil, _ behave: @escaping @Sendable (UpgradedSocket) async -> Void
    ) throws -> HTTPServer {
        try HTTPServer(host: "127.0.0.1", port: 0, tls: tls) { request in
            guard let key = request.headers["sec-websocket-key"] else { return .text("ok", status: 200) }
            let headers = ["Upgrade": "websocket", "Sec-WebSocket-Accept": Handshake.acceptValue(forKey: key)]
            return HTTPResponse(status: 101, headers: headers) { socket in Task { await behave(socket) } }
        }
    }

    /// Sends back every message.
    @Sendable static func echo(_ socket: UpgradedSocket) async {
        var machine = WebSocketProtocol(
            role: .server, limits: WebSocketLimits(maxFrameBytes: 64 << 20, maxMessageBytes: 64 << 20))
        while true {
            let bytes = await socket.read()
            guard !bytes.isEmpty else { break }
            for event in machine.receive(bytes) {
                switch event {
                case .message(let message): machine.send(message)
                case .closed, .failed:
                    _ = await socket.write(machine.takeOutput())
                    socket.close()
                    return
                case .ping, .pong: break
                }
            }
            guard await socket.write(machine.takeOutput()) else { break }
        }
        socket.close()
    }

    /// Sends these bytes, then reads until the end.
    static func send(_ bytes: [UInt8]) -> @Sendable (UpgradedSocket) async -> Void {
        { socket in
            _ = await socket.write(bytes)
            while await !socket.read().isEmpty {}
            socket.close()
        }
    }

    /// A server's frame.
    static func frame(_ opcode: Opcode, _ payload: [UInt8], isFinal: Bool = true, mask: UInt32? = nil) -> [UInt8] {
        var bytes: [UInt8] = []
        FrameEncoder.append(opcode, payload, isFinal: isFinal, mask: mask, to: &bytes)
        return bytes
    }

    /// The answer to an upgrade, for a server that speaks bytes.
    static func upgradeAnswer(to head: String) -> [UInt8] {
        let key =
            head.components(separatedBy: "\r\n").first { $0.lowercased().hasPrefix("sec-websocket-key:") }?
            .dropFirst("sec-websocket-key:".count).trimmingCharacters(in: .whitespaces) ?? ""
        return Array(
            """
            HTTP/1.1 101 Switching Protocols\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Accept: \(Handshake.acceptValue(forKey: key))\r
            \r\n
            """.utf8)
    }

    static func url(_ port: Int, scheme: String = "ws", host: String = "127.0.0.1") throws -> URL {
        guard let url = URL(string: "\(scheme)://\(host):\(port)/ws") else { throw PeerError(description: "no URL") }
        return url
    }
}
