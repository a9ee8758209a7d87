import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@testable import WebSocket

/// In a network namespace of its own, with packets lost, delayed and put out of order: scripts/lossy runs it there.
@Suite(
    "A lossy network",
    .enabled(
        if: ProcessInfo.processInfo.environment["LARK_GATEWAY_LOSSY_NETWORK"] != nil,
        "scripts/lossy makes the network that it needs"))
struct LossyNetworkTests {
    private func shell(_ command: String) async throws {
        let result = try await ChildProcess.run("/bin/sh", ["-c", command], deadline: .after(.seconds(60)))
        #expect(result.status == 0, "\(command): \(String(decoding: result.errorOutput, as: UTF8.self))")
    }

    @Test("every message arrives once, whole and in order")
    func echo() async throws {
        let server = try WebSocketPeer.serve(WebSocketPeer.echo)
        let connection = try await CurlTransport().connect(
            to: WebSocketPeer.url(server.port), options: WebSocketOptions(), deadline: .after(.seconds(60)))
        for index in 0..<200 {
            let message = WebSocketMessage.binary([UInt8](repeating: UInt8(index), count: index * 50))
            try await connection.send(message)
            #expect(try await connection.receive() == .message(message))
        }
        await connection.close(.normal, reason: "")
        await server.stop()
    }

    @Test("a link that drops and comes back loses nothing")
    func droppedLink() async throws {
        let server = try WebSocketPeer.serve(WebSocketPeer.echo)
        let connection = try await CurlTransport().connect(
            to: WebSocketPeer.url(server.port), options: WebSocketOptions(), deadline: .after(.seconds(60)))
        try await shell("ip link set lo down")
        try await connection.send(.text("into the void"))
        // The message and some repetitions of it get lost: nothing tells of that but time.
        try await Task.sleep(for: .seconds(1))
        try await shell("ip link set lo up")
        #expect(try await connection.receive() == .message(.text("into the void")))
        await connection.close(.normal, reason: "")
        await server.stop()
    }
}
