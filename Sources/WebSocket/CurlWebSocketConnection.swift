import AsyncRuntime
import CLibcurl
import Foundation

/// A WebSocket connection whose bytes libcurl moves. The actor runs on a queue of its own.
actor CurlWebSocketConnection: WebSocketConnection {
    private nonisolated let executor = QueueExecutor(label: "websocket.connection")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let socket: CurlSocket
    private let readiness: SocketReadiness
    private let options: WebSocketOptions
    private var machine: WebSocketProtocol
    private var events: [WebSocketEvent] = []
    private var nextEvent = 0
    /// Why nothing more can be read or written.
    private var end: WebSocketError?
    private var unsent: [UInt8] = []
    private var isFlushing = false
    private var isFreed = false
    private var readBuffer = [UInt8](repeating: 0, count: 16 << 10)

    /// What may wait behind a write that makes no progress.
    private static let maxUnsentBytes = 4 << 20

    init(socket: CurlSocket, options: WebSocketOptions) {
        self.socket = socket
        self.options = options
        readiness = SocketReadiness(descriptor: socket.descriptor)
        machine = WebSocketProtocol(role: .client, maxMessageBytes: options.maxMessageBytes)
    }

    isolated deinit {
        free()
    }

    func shakeHands(_ target: CurlTransport.Target, deadline: Deadline) async throws {
        let key = Handshake.makeKey()
        unsent = Handshake.request(
            target: target.requestTarget, host: target.host, key: key, userAgent: options.userAgent)
        await flush()
        if let end { throw end }
        var parser = Handshake.ResponseParser(key: key)
        while true {
            switch try read() {
            case .bytes(let bytes):
                guard let rest = try parser.receive(bytes) else { continue }
                process(machine.receive(rest))
                return
            case .nothing:
                switch await readiness.wait(for: .read, until: deadline) {
                case .ready: continue
                case .deadlineExceeded: throw DeadlineExceeded(operation: "the WebSocket handshake")
                case .cancelled: throw CancellationError()
                case .invalidated: throw WebSocketError.ended
                }
            case .endOfStream:
                throw WebSocketError.lost("the server hung up during the handshake")
            }
        }
    }

    func receive() async throws -> WebSocketEvent {
        while true {
            if nextEvent < events.count {
                defer { nextEvent += 1 }
                return events[nextEvent]
            }
            events.removeAll(keepingCapacity: true)
            nextEvent = 0
            if let end { throw end }
            switch try read() {
            case .bytes(let bytes):
                process(machine.receive(bytes))
                // Pongs and the answer to a close frame.
                if machine.hasOutput { try? flushMachine() }
            case .nothing:
                switch await readiness.wait(for: .read, until: nil) {
                case .ready, .deadlineExceeded: continue
                case .cancelled: throw CancellationError()
                case .invalidated: throw end ?? .ended
                }
            case .endOfStream:
                finish(.lost("the server closed the connection without a close frame"))
            }
        }
    }

    func send(_ message: WebSocketMessage) async throws {
        if let end { throw end }
        guard machine.send(message) else { throw WebSocketError.ended }
        try flushMachine()
    }

    func close(_ code: CloseCode, reason: String) async {
        guard end == nil else { return free() }
        machine.close(code, reason: reason)
        try? flushMachine()
        let deadline = Deadline.after(.seconds(1))
        while end == nil {
            guard let chunk = try? read() else { break }
            if case .bytes(let bytes) = chunk {
                process(machine.receive(bytes))
            } else {
                guard case .nothing = chunk, await readiness.wait(for: .read, until: deadline) == .ready else { break }
            }
        }
        abort()
    }

    /// Ends the connection without a word.
    func abort() {
        finish(.ended)
        free()
    }

    // MARK: Bytes

    private enum Chunk {
        case bytes(ArraySlice<UInt8>)
        case nothing
        case endOfStream
    }

    private func read() throws -> Chunk {
        guard !isFreed else { throw end ?? .ended }
        var count = 0
        let code = readBuffer.withUnsafeMutableBytes { curl_easy_recv(socket.handle, $0.baseAddress, $0.count, &count) }
        switch code {
        case CURLE_OK: return count == 0 ? .endOfStream : .bytes(readBuffer[..<count])
        case CURLE_AGAIN: return .nothing
        default:
            let error = WebSocketError.lost(String(cString: curl_easy_strerror(code)))
            finish(error)
            throw error
        }
    }

    /// Writes what the system takes now; the rest is written in the background, so that no sender waits for the peer.
    private func flushMachine() throws {
        unsent += machine.takeOutput()
        guard unsent.count <= Self.maxUnsentBytes else {
            breakOff(.writeStalled)
            throw WebSocketError.writeStalled
        }
        // Whoever is writing already takes these bytes along.
        guard !isFlushing, try !writeWhatFits() else { return }
        isFlushing = true
        Task { await self.flush() }
    }

    /// Writes all that waits, until a write makes no progress for too long.
    private func flush() async {
        isFlushing = true
        defer { isFlushing = false }
        while let isDone = try? writeWhatFits(), !isDone {
            guard await readiness.wait(for: .write, until: .after(options.writeStall)) == .ready else {
                return breakOff(.writeStalled)
            }
        }
    }

    /// - Returns: whether nothing is left.
    private func writeWhatFits() throws -> Bool {
        var sent = 0
        defer { unsent.removeFirst(sent) }
        while sent < unsent.count {
            guard !isFreed else { throw end ?? .ended }
            var count = 0
            let code = unsent.withUnsafeBytes { bytes in
                curl_easy_send(socket.handle, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, &count)
            }
            sent += count
            if code == CURLE_AGAIN { return false }
            guard code == CURLE_OK else {
                breakOff(.lost(String(cString: curl_easy_strerror(code))))
                throw end ?? .ended
            }
        }
        return true
    }

    /// Ends the connection for the reader, too.
    private func breakOff(_ reason: WebSocketError) {
        finish(reason)
        readiness.invalidate()
    }

    private func process(_ new: [WebSocketEvent]) {
        for event in new {
            switch event {
            case .message, .ping, .pong: events.append(event)
            case .closed(let code, let reason): finish(.closed(code, reason: reason))
            case .failed(let code, let cause): finish(.violation(code, cause: cause))
            }
        }
    }

    private func finish(_ reason: WebSocketError) {
        if end == nil { end = reason }
    }

    private func free() {
        guard !isFreed else { return }
        isFreed = true
        readiness.invalidate()
        curl_easy_cleanup(socket.handle)
    }
}
