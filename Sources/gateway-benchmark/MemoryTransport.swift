import AsyncRuntime
import Foundation
import WebSocket

/// A long connection without a socket: frames come from the benchmark, and what is sent is counted there. Everything
/// between the frame's bytes and the ack's is the product's.
struct MemoryTransport: WebSocketTransport {
    let connection: MemoryConnection
    var name: String { "memory" }

    func connect(
        to url: URL, options: WebSocketOptions, deadline: Deadline
    ) async throws -> any WebSocketConnection {
        connection.open()
        return connection
    }
}

final class MemoryConnection: WebSocketConnection {
    private struct State {
        var isOpen = false
        var frames: [[UInt8]] = []
        var next = 0
        var reader: CheckedContinuation<[UInt8]?, Never>?
    }

    private let state = Mutex(State())
    private let sent: @Sendable ([UInt8]) -> Void

    /// - Parameter sent: told of every frame that the gateway sends.
    init(sent: @escaping @Sendable ([UInt8]) -> Void) {
        self.sent = sent
    }

    func open() { state.withLock { $0.isOpen = true } }

    var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Puts a frame behind those that wait to be received.
    func push(_ frame: [UInt8]) {
        let reader = state.withLock { state -> CheckedContinuation<[UInt8]?, Never>? in
            guard let reader = state.reader else {
                state.frames.append(frame)
                return nil
            }
            state.reader = nil
            return reader
        }
        reader?.resume(returning: frame)
    }

    func receive() async throws -> WebSocketEvent {
        let frame = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> [UInt8]? in
                    guard state.next < state.frames.count else {
                        state.reader = continuation
                        return nil
                    }
                    defer {
                        state.next += 1
                        if state.next == state.frames.count {
                            state.frames.removeAll(keepingCapacity: true)
                            state.next = 0
                        }
                    }
                    return state.frames[state.next]
                }
                if let ready { continuation.resume(returning: ready) }
                if Task.isCancelled { cancel() }
            }
        } onCancel: {
            cancel()
        }
        guard let frame else { throw CancellationError() }
        return .message(.binary(frame))
    }

    private func cancel() {
        let reader = state.withLock { state in
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    func send(_ message: WebSocketMessage) async throws {
        if case .binary(let bytes) = message { sent(bytes) }
    }

    func close(_ code: CloseCode, reason: String) async {
        cancel()
    }
}
