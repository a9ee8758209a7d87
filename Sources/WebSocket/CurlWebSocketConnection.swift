import AsyncRuntime
import Curl
import Foundation

/// A WebSocket connection whose bytes libcurl moves. The actor runs on a queue of its own.
actor CurlWebSocketConnection: WebSocketConnection {
    private nonisolated let executor = QueueExecutor(label: "websocket.connection")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// nil: given back.
    private var socket: CurlSocket?
    private let readiness: SocketReadiness
    private let options: WebSocketOptions
    private var machine: WebSocketProtocol
    /// Read and not asked for yet. Outside of the actor: one read brings many messages, and a hop each would cost more
    /// than all the rest.
    private nonisolated let received = Mutex(Received())
    /// Why nothing more can be read or written.
    private var end: WebSocketError?
    /// What is being written. A write that TLS could not finish must be repeated with the same bytes at the same
    /// address (SSL_write(3)): it is not touched until all of it is written.
    private var writing: [UInt8] = []
    private var written = 0
    /// What comes after it.
    private var queued: [UInt8] = []
    private var isFlushing = false

    /// Read at a time, into memory that no connection keeps: a TLS record's size.
    private static let readSize = 16 << 10

    init(socket: CurlSocket, options: WebSocketOptions) {
        self.socket = socket
        self.options = options
        readiness = SocketReadiness(descriptor: socket.descriptor)
        machine = WebSocketProtocol(role: .client, limits: options.limits)
    }

    /// - Parameter place: the host and its address, for messages.
    func shakeHands(_ target: WebSocketTarget, at place: String, deadline: Deadline) async throws {
        let key = Handshake.makeKey()
        queued = Handshake.request(
            target: target.requestTarget, host: target.hostHeader, key: key, userAgent: options.userAgent)
        await flush()
        if let end { throw end }
        let operation = "the WebSocket handshake with \(place)"
        var parser = Handshake.ResponseParser(key: key)
        while true {
            // Also where bytes trickle in without end, and never have to be waited for.
            guard !deadline.hasPassed else { throw DeadlineExceeded(operation: operation) }
            var rest: [UInt8]?
            let outcome = try read { bytes throws(HandshakeError) in rest = try parser.receive(bytes) }
            switch outcome {
            case .bytes:
                guard let rest else { continue }
                process(machine.receive(rest))
                if machine.hasOutput { try? flushMachine() }
                return
            case .nothing:
                switch await readiness.wait(for: .read, until: deadline) {
                case .ready: continue
                case .deadlineExceeded: throw DeadlineExceeded(operation: operation)
                case .cancelled: throw CancellationError()
                case .invalidated: throw WebSocketError.ended
                }
            case .endOfStream:
                throw WebSocketError.lost("\(place) hung up during the handshake")
            }
        }
    }

    nonisolated func receive() async throws -> WebSocketEvent {
        while true {
            if let event = received.withLock({ $0.take() }) { return event }
            try await receiveMore()
        }
    }

    /// Returns when there is something to take.
    private func receiveMore() async throws {
        while received.withLock({ $0.isEmpty }) {
            if let end { throw end }
            switch try read({ bytes in process(machine.receive(bytes)) }) {
            case .bytes:
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
            guard let chunk = try? read({ bytes in process(machine.receive(bytes)) }) else { break }
            if case .bytes = chunk { continue }
            guard case .nothing = chunk, await readiness.wait(for: .read, until: deadline) == .ready else { break }
        }
        abort()
    }

    /// Ends the connection without a word.
    func abort() {
        finish(.ended)
        free()
    }

    // MARK: Bytes

    private struct Received {
        var events: [WebSocketEvent] = []
        private var next = 0

        var isEmpty: Bool { next == events.count }

        mutating func take() -> WebSocketEvent? {
            guard next < events.count else { return nil }
            let event = events[next]
            next += 1
            if next == events.count {
                // What one read of many frames needed is given back.
                events.removeAll(keepingCapacity: events.count <= 32)
                next = 0
            }
            return event
        }
    }

    private enum Chunk {
        case bytes
        case nothing
        case endOfStream
    }

    /// Reads what is here, a bounded part of it.
    /// - Parameter take: gets the bytes, which are gone when it returns.
    // Inlined into an async function, the buffer would come from the task's own stack, which keeps it until the task
    // ends.
    @inline(never)
    private func read<E: Error>(_ take: (UnsafeRawBufferPointer) throws(E) -> Void) throws -> Chunk {
        guard let socket else { throw end ?? .ended }
        return try withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 8) { buffer in
            switch socket.receive(into: buffer) {
            case .bytes(let count):
                try take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                return .bytes
            case .nothing: return .nothing
            case .endOfStream: return .endOfStream
            case .failed(let words):
                let error = WebSocketError.lost(words)
                finish(error)
                throw error
            }
        }
    }

    /// Writes what the system takes now; the rest is written in the background, so that no sender waits for the peer.
    private func flushMachine() throws {
        queued += machine.takeOutput()
        guard writing.count - written + queued.count <= options.maxUnsentBytes else {
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
        while true {
            if written == writing.count {
                // An idle connection keeps no buffer.
                writing = queued
                written = 0
                queued = []
                if writing.isEmpty { return true }
            }
            guard let socket else { throw end ?? .ended }
            switch writing.withUnsafeBytes({ socket.send(UnsafeRawBufferPointer(rebasing: $0[written...])) }) {
            case .bytes(let count): written += count
            case .nothing: return false
            case .failed(let words):
                breakOff(.lost(words))
                throw end ?? .ended
            }
        }
    }

    /// Ends the connection for the reader, too.
    private func breakOff(_ reason: WebSocketError) {
        finish(reason)
        readiness.invalidate()
    }

    private func process(_ new: [WebSocketEvent]) {
        for event in new {
            switch event {
            case .message, .ping, .pong: received.withLock { $0.events.append(event) }
            case .closed(let code, let reason): finish(.closed(code, reason: reason))
            case .failed(let code, let cause): finish(.violation(code, cause: cause))
            }
        }
    }

    private func finish(_ reason: WebSocketError) {
        if end == nil { end = reason }
    }

    /// Gives the socket back; libcurl closes it.
    private func free() {
        readiness.invalidate()
        socket = nil
    }
}
