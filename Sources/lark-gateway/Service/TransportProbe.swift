import AsyncRuntime
import Foundation
import HTTPServer
import WebSocket

/// Whether a transport works with this toolchain and its libraries, tried on loopback: a handshake, and a message that
/// no single read holds, there and back.
enum TransportProbe {
    private static let messageBytes = 300_000

    /// - Returns: nil when it works; else what went wrong.
    static func failure(of transport: any WebSocketTransport, within limit: Duration = .seconds(10)) async -> String? {
        do {
            let server = try HTTPServer(host: "127.0.0.1", port: 0, handler: answer)
            let failure = await exchange(over: transport, port: server.port, deadline: .after(limit))
            await server.stop()
            return failure
        } catch {
            return "\(error)"
        }
    }

    private static func exchange(
        over transport: any WebSocketTransport, port: Int, deadline: Deadline
    ) async -> String? {
        guard let url = URL(string: "ws://127.0.0.1:\(port)/probe") else { return "no URL" }
        do {
            let connection = try await transport.connect(to: url, options: WebSocketOptions(), deadline: deadline)
            let message = WebSocketMessage.binary((0..<messageBytes).map { UInt8(truncatingIfNeeded: $0) })
            let failure = try await withDeadline(deadline, operation: "a message of \(messageBytes) bytes") {
                try await connection.send(message)
                let event = try await connection.receive()
                if event == .message(message) { return nil as String? }
                guard case .message(.binary(let bytes)) = event else { return "another event came back: \(event)" }
                return "a message of \(messageBytes) bytes came back as one of \(bytes.count)"
            }
            await connection.close(.normal, reason: "")
            return failure
        } catch {
            return "\(error)"
        }
    }

    /// As strict as the platform's servers about the upgrade (RFC 6455, section 4.2.1).
    private static func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let connection = request.headers["connection"]?.lowercased().split(separator: ",") ?? []
        guard connection.contains(where: { $0.trimmingCharacters(in: .whitespaces) == "upgrade" }),
            let key = request.headers["sec-websocket-key"]
        else { return .text("no Connection: Upgrade\n", status: 426) }
        let headers = ["Upgrade": "websocket", "Sec-WebSocket-Accept": Handshake.acceptValue(forKey: key)]
        return HTTPResponse(status: 101, headers: headers) { socket in Task { await echo(socket) } }
    }

    private static func echo(_ socket: UpgradedSocket) async {
        var machine = WebSocketProtocol(role: .server)
        while true {
            let bytes = await socket.read()
            guard !bytes.isEmpty else { return }
            for case .message(let message) in machine.receive(bytes) { machine.send(message) }
            guard await socket.write(machine.takeOutput()) else { return }
        }
    }
}
