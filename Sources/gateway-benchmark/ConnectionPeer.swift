import AsyncRuntime
import Foundation
import HTTPServer
import Lark
import WebSocket

/// The platform's end of the measured connections, in a process of its own: memory and CPU of this one are the
/// gateway's.
enum ConnectionPeer {
    /// The word that makes this executable the peer.
    static let word = "--connection-peer"

    /// Events that are written together, where they are written as fast as they are taken.
    static let batch = 64

    /// Serves until the parent is gone.
    /// - Parameter portFile: where the port is written.
    static func serve(portFile: String, certificate: String?, key: String?) async throws {
        var tls: TLSIdentity?
        if let certificate, let key {
            tls = TLSIdentity(
                certificates: try String(contentsOfFile: certificate, encoding: .utf8),
                key: try String(contentsOfFile: key, encoding: .utf8))
        }
        let server = try HTTPServer(host: "127.0.0.1", port: 0, tls: tls) { request in
            let key = request.headers["sec-websocket-key"] ?? ""
            let headers = ["Upgrade": "websocket", "Sec-WebSocket-Accept": Handshake.acceptValue(forKey: key)]
            let count = Int(request.query["count"] ?? "") ?? 0
            let paused = request.query["paused"] != nil
            return HTTPResponse(status: 101, headers: headers) { socket in
                Task { await behave(socket, count: count, paused: paused) }
            }
        }
        try "\(server.port)".write(toFile: portFile, atomically: true, encoding: .utf8)
        while getppid() != 1 { try await Task.sleep(for: .milliseconds(500)) }
    }

    /// Sends `count` events as fast as they are taken; paused: one each millisecond, with the time at which it was
    /// written.
    private static func behave(_ socket: UpgradedSocket, count: Int, paused: Bool) async {
        let writer = Task {
            if paused {
                for index in 0..<count {
                    try? await Task.sleep(for: .milliseconds(1))
                    guard await socket.write(event(index, writtenAt: Self.nanoseconds())) else { return }
                }
            } else {
                let frame = event(0, writtenAt: 0)
                let frames = Array(repeatElement(frame, count: batch).joined())
                for _ in 0..<(count / batch) { guard await socket.write(frames) else { return } }
            }
        }
        // Pings of the long connection are answered, as the platform does.
        var machine = WebSocketProtocol(role: .server)
        while true {
            let bytes = await socket.read()
            guard !bytes.isEmpty else { break }
            for case .message(.binary(let message)) in machine.receive(bytes) {
                guard var frame = try? Frame(decoding: message), frame.header("type") == "ping" else { continue }
                frame.headers = [Frame.Header(key: "type", value: "pong")]
                machine.send(.binary(frame.encoded()))
            }
            let output = machine.takeOutput()
            guard output.isEmpty ? true : await socket.write(output) else { break }
        }
        await writer.value
        socket.close()
    }

    /// The monotonic clock, which all processes of a machine share.
    static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private static let sample = Load.frames(1, chats: 1, label: "peer").first.flatMap { try? Frame(decoding: $0.frame) }

    private static func event(_ index: Int, writtenAt time: UInt64) -> [UInt8] {
        guard var frame = sample else { return [] }
        frame.headers.append(Frame.Header(key: "written_at", value: "\(time)"))
        var machine = WebSocketProtocol(role: .server)
        machine.send(.binary(frame.encoded()))
        return machine.takeOutput()
    }
}

/// The peer, as its parent holds it.
final class RunningPeer: Sendable {
    let port: Int
    private let task: Task<Void, Never>

    /// - Parameter folder: for its files.
    convenience init(folder: String, certificate: (certificate: String, key: String)? = nil) async throws {
        try await self.init(
            folder: folder, name: certificate == nil ? "plain" : "tls", words: [ConnectionPeer.word],
            certificate.map { [$0.certificate, $0.key] } ?? [])
    }

    /// - Parameter words: what makes this executable the peer; then comes the file for its port, then the rest.
    init(folder: String, name: String, words: [String], _ rest: [String]) async throws {
        let portFile = "\(folder)/port-\(name)"
        try? FileManager.default.removeItem(atPath: portFile)
        let words = words + [portFile] + rest
        task = Task {
            _ = try? await ChildProcess.run(
                "/proc/self/exe", words, environment: ProcessInfo.processInfo.environment, collectsOutput: false,
                deadline: .after(.seconds(3_600)))
        }
        let deadline = Deadline.after(.seconds(20))
        var found: Int?
        while found == nil {
            guard !deadline.hasPassed else {
                task.cancel()
                throw BenchmarkError("the peer of the connections did not start")
            }
            try await Task.sleep(for: .milliseconds(20))
            found = (try? String(contentsOfFile: portFile, encoding: .utf8)).flatMap { Int($0) }
        }
        port = found ?? 0
    }

    func stop() async {
        task.cancel()
        await task.value
    }
}
