import AsyncRuntime
import Curl
import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// WebSocket over Foundation's URLSessionWebSocketTask: the transport of Apple's platforms. On Linux it can be asked
/// for, and a probe then says whether this toolchain's Foundation can do it.
package struct URLSessionTransport: WebSocketTransport {
    package let name = "urlsession"

    package init() {}

    package func connect(
        to url: URL, options: WebSocketOptions, deadline: Deadline
    ) async throws -> any WebSocketConnection {
        let target = try WebSocketTarget(url)
        // What a name resolves to is URLSession's secret.
        if options.mustBePublic, let scope = AddressScope(host: target.host), scope != .internet {
            throw WebSocketError.unreachable(
                ConnectionFailure(
                    host: target.host, cause: .refusedHere, words: "not an address of the internet"))
        }
        var request = URLRequest(url: url)
        request.setValue(options.userAgent, forHTTPHeaderField: "User-Agent")
        let delegate = Delegate()
        let session = URLSession(configuration: .ephemeral, delegate: delegate, delegateQueue: nil)
        let task = session.webSocketTask(with: request)
        #if !canImport(FoundationNetworking)
            task.maximumMessageSize = options.limits.maxMessageBytes
        #endif
        task.resume()
        do {
            try await withDeadline(deadline, operation: "the WebSocket handshake with \(target.host)") {
                await delegate.settled.wait()
                try Task.checkCancellation()
            }
            if let failure = delegate.failure { throw Self.error(failure, of: task, host: target.host) }
        } catch {
            task.cancel()
            session.invalidateAndCancel()
            throw error
        }
        return URLSessionWebSocketConnection(session: session, task: task, options: options)
    }

    private static func error(_ failure: any Error, of task: URLSessionTask, host: String) -> any Error {
        if let response = task.response as? HTTPURLResponse, response.statusCode != 101 {
            var headers: [String: String] = [:]
            for (name, value) in response.allHeaderFields { headers["\(name)".lowercased()] = "\(value)" }
            return HandshakeError(
                status: response.statusCode, headers: headers,
                reason: "HTTP status \(response.statusCode) instead of 101")
        }
        return WebSocketError.unreachable(.init(host: host, cause: .other, words: failure.localizedDescription))
    }

    private final class Delegate: NSObject, URLSessionWebSocketDelegate {
        /// Opened, or failed.
        let settled = AsyncEvent()
        private let failed = Mutex<(any Error)?>(nil)

        var failure: (any Error)? { failed.withLock { $0 } }

        func urlSession(
            _ session: URLSession, webSocketTask: URLSessionWebSocketTask, didOpenWithProtocol protocol: String?
        ) {
            settled.set()
        }

        // Foundation on Linux gives it no default.
        func urlSession(
            _ session: URLSession, webSocketTask: URLSessionWebSocketTask,
            didCloseWith closeCode: URLSessionWebSocketTask.CloseCode, reason: Data?
        ) {}

        func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
            if !settled.isSet {
                failed.withLock { $0 = error ?? WebSocketError.lost("the server hung up during the handshake") }
            }
            settled.set()
        }
    }
}

/// A connection of URLSession. It answers pings itself and does not show them.
final class URLSessionWebSocketConnection: WebSocketConnection {
    private struct State {
        var received: [WebSocketMessage] = []
        var end: WebSocketError?
    }

    private let session: URLSession
    private let task: URLSessionWebSocketTask
    private let options: WebSocketOptions
    private let state = Mutex(State())
    private let changed = Doorbell()
    private let taken = Doorbell()
    private let pump = Mutex<Task<Void, Never>?>(nil)

    /// Received and not asked for yet; the peer waits beyond it.
    private static let maxReceived = 16

    init(session: URLSession, task: URLSessionWebSocketTask, options: WebSocketOptions) {
        self.session = session
        self.task = task
        self.options = options
        // URLSession's own `receive` can't be cancelled without ending the connection.
        let reader = Task { [weak self] in
            while let self, await self.receiveOne() {}
        }
        pump.withLock { $0 = reader }
    }

    deinit {
        pump.withLock { $0?.cancel() }
        task.cancel()
        session.invalidateAndCancel()
    }

    private func receiveOne() async -> Bool {
        while state.withLock({ $0.received.count >= Self.maxReceived }) {
            await taken.wait(atMost: .seconds(1))
            guard !Task.isCancelled else { return false }
        }
        do {
            let message: WebSocketMessage
            switch try await task.receive() {
            case .data(let data): message = .binary(Array(data))
            case .string(let text): message = .text(text)
            @unknown default: return true
            }
            state.withLock { $0.received.append(message) }
            changed.ring()
            return true
        } catch {
            finish(reason(error))
            return false
        }
    }

    private func reason(_ error: any Error) -> WebSocketError {
        guard task.closeCode != .invalid else { return .lost(error.localizedDescription) }
        return .closed(
            CloseCode(rawValue: UInt16(clamping: task.closeCode.rawValue)),
            reason: task.closeReason.map { String(decoding: $0, as: UTF8.self) } ?? "")
    }

    private func finish(_ reason: WebSocketError) {
        state.withLock { if $0.end == nil { $0.end = reason } }
        changed.ring()
    }

    func receive() async throws -> WebSocketEvent {
        while true {
            let (message, end) = state.withLock { state -> (WebSocketMessage?, WebSocketError?) in
                state.received.isEmpty ? (nil, state.end) : (state.received.removeFirst(), nil)
            }
            if let message {
                taken.ring()
                return .message(message)
            }
            if let end { throw end }
            await changed.wait(atMost: .seconds(60))
            try Task.checkCancellation()
        }
    }

    func send(_ message: WebSocketMessage) async throws {
        if let end = state.withLock({ $0.end }) { throw end }
        do {
            switch message {
            case .binary(let bytes): try await task.send(.data(Data(bytes)))
            case .text(let text): try await task.send(.string(text))
            }
        } catch {
            let reason = reason(error)
            finish(reason)
            throw reason
        }
    }

    func close(_ code: CloseCode, reason: String) async {
        if state.withLock({ $0.end }) == nil {
            task.cancel(
                with: URLSessionWebSocketTask.CloseCode(rawValue: Int(code.rawValue)) ?? .normalClosure,
                reason: Data(reason.utf8))
            let deadline = Deadline.after(.seconds(1))
            while state.withLock({ $0.end }) == nil, !deadline.hasPassed {
                await changed.wait(atMost: deadline.remaining)
            }
        }
        finish(.ended)
        pump.withLock { $0?.cancel() }
        session.invalidateAndCancel()
    }
}
