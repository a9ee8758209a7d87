import AsyncRuntime
import Curl
import Foundation

/// Makes WebSocket connections. One implementation per library that can carry the bytes.
package protocol WebSocketTransport: Sendable {
    /// As it stands in the configuration and the start-up log.
    var name: String { get }

    /// Connects and shakes hands.
    /// - Parameter url: ws or wss. Its query may be a secret: it stands in no error.
    /// - Throws: `WebSocketError`, `HandshakeError`, `DeadlineExceeded`, `CancellationError`.
    func connect(to url: URL, options: WebSocketOptions, deadline: Deadline) async throws -> any WebSocketConnection
}

/// What a peer may send. Counted in bytes of payload, before anything is allocated for it.
package struct WebSocketLimits: Sendable, Equatable {
    package var maxFrameBytes: Int
    /// The sum of a message's fragments.
    package var maxMessageBytes: Int

    package init(maxFrameBytes: Int = 16 << 20, maxMessageBytes: Int = 16 << 20) {
        self.maxFrameBytes = maxFrameBytes
        self.maxMessageBytes = maxMessageBytes
    }
}

package struct WebSocketOptions: Sendable, Equatable {
    package var limits = WebSocketLimits()
    /// What may wait behind a write that makes no progress; more ends the connection.
    package var maxUnsentBytes = 4 << 20
    /// A write that makes no progress for this long ends the connection.
    package var writeStall: Duration = .seconds(10)
    package var userAgent = "lark-gateway"
    /// No address of this machine or of a private network is connected to, but a proxy's.
    package var mustBePublic = false

    package init() {}
}

/// An open connection. One reader, any number of writers.
package protocol WebSocketConnection: Sendable {
    /// The next event: a message, a ping (answered already) or a pong.
    /// - Throws: `WebSocketError` when the connection has ended; `CancellationError`, after which it can go on.
    func receive() async throws -> WebSocketEvent

    /// Puts a message behind those that were sent before. Returns when it has been handed to the system, or stands in
    /// the queue behind a write that is under way.
    /// - Throws: `WebSocketError` when the connection has ended or the queue is full.
    func send(_ message: WebSocketMessage) async throws

    /// Sends a close frame, waits 1 s at most for the peer's, and ends the connection.
    func close(_ code: CloseCode, reason: String) async
}

/// How a connection ended, or why there is none.
package enum WebSocketError: Error, Sendable, Equatable, CustomStringConvertible {
    case unsupportedURL(String)
    /// No TCP or TLS connection.
    case unreachable(ConnectionFailure)
    /// The peer's close frame.
    case closed(CloseCode, reason: String)
    /// The peer broke RFC 6455.
    case violation(CloseCode, cause: String)
    /// The bytes ended without a close frame.
    case lost(String)
    case writeStalled
    case ended

    package var description: String {
        switch self {
        case .unsupportedURL(let scheme): "not a ws or wss URL: \(scheme)"
        case .unreachable(let failure): "\(failure)"
        case .closed(let code, let reason): "closed by the server: \(code.rawValue) \(reason)"
        case .violation(let code, let cause): "the server broke the WebSocket protocol (\(code.rawValue)): \(cause)"
        case .lost(let reason): "the connection was lost: \(reason)"
        case .writeStalled: "a write made no progress"
        case .ended: "ended by us"
        }
    }
}
