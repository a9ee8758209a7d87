/// Which end of the connection this is (RFC 6455, section 1.3).
package enum WebSocketRole: Sendable { case client, server }

/// RFC 6455 after the handshake, as a value: bytes in, events out; messages in, bytes out. No I/O and no clock.
///
/// What the peer does wrong never throws: it becomes a close frame in the output and a `.failed` event.
package struct WebSocketProtocol: Sendable {
    private enum State {
        case open
        /// We sent a close frame, and wait for the peer's.
        case closing
        /// Both have closed, or the peer broke the protocol: bytes are thrown away.
        case ended
    }

    private let role: WebSocketRole
    private let maxMessageBytes: Int
    private let nextMask: @Sendable () -> UInt32
    private var parser: FrameParser
    private var state = State.open
    /// The message whose fragments are coming in.
    private var fragments: (opcode: Opcode, payload: [UInt8])?
    private var output: [UInt8] = []

    /// - Parameter maxMessageBytes: a message, or the sum of its fragments, beyond this ends the connection with 1009.
    /// - Parameter nextMask: section 5.3 asks for a strong source of entropy; tests give their own.
    package init(
        role: WebSocketRole, maxMessageBytes: Int = 16 << 20,
        nextMask: @escaping @Sendable () -> UInt32 = { UInt32.random(in: .min ... .max) }
    ) {
        self.role = role
        self.maxMessageBytes = maxMessageBytes
        self.nextMask = nextMask
        parser = FrameParser(role: role, maxPayloadBytes: maxMessageBytes)
    }

    /// The bytes to write to the socket; taken once.
    package mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    package var hasOutput: Bool { !output.isEmpty }

    // MARK: Sending

    /// - Returns: false when the connection is closing: nothing was sent (section 5.5.1).
    @discardableResult
    package mutating func send(_ message: WebSocketMessage) -> Bool {
        guard state == .open else { return false }
        switch message {
        case .text(let text): write(.text, Array(text.utf8))
        case .binary(let bytes): write(.binary, bytes)
        }
        return true
    }

    /// - Parameter payload: what is over 125 bytes is cut off (section 5.5).
    @discardableResult
    package mutating func ping(_ payload: [UInt8] = []) -> Bool {
        guard state == .open else { return false }
        write(.ping, payload.prefix(125))
        return true
    }

    /// Begins the closing handshake (section 7.1.2); later calls do nothing.
    package mutating func close(_ code: CloseCode, reason: String = "") {
        guard state == .open else { return }
        state = .closing
        writeClose(code, reason: reason)
    }

    private mutating func write(_ opcode: Opcode, _ payload: some Collection<UInt8>) {
        FrameEncoder.append(opcode, payload, mask: role == .client ? nextMask() : nil, to: &output)
    }

    private mutating func writeClose(_ code: CloseCode, reason: String) {
        guard code != .noStatus else { return write(.close, []) }
        var text = reason
        while text.utf8.count > 123 { text.removeLast() }
        write(.close, [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)] + Array(text.utf8))
    }

    // MARK: Receiving

    package mutating func receive(_ bytes: some Sequence<UInt8>) -> [WebSocketEvent] {
        guard state != .ended else { return [] }
        parser.append(bytes)
        var events: [WebSocketEvent] = []
        while state != .ended {
            do throws(FrameParser.Violation) {
                guard let frame = try parser.next() else { break }
                if let event = try receive(frame) { events.append(event) }
            } catch {
                if state == .open { writeClose(error.code, reason: "") }
                state = .ended
                events.append(.failed(error.code, cause: error.cause))
            }
        }
        return events
    }

    private mutating func receive(_ frame: FrameParser.Frame) throws(FrameParser.Violation) -> WebSocketEvent? {
        switch frame.opcode {
        case .ping:
            // Section 5.5.3; not after our own close frame (5.5.1).
            if state == .open { write(.pong, frame.payload) }
            return .ping(frame.payload)
        case .pong:
            return .pong(frame.payload)
        case .close:
            return try receiveClose(frame.payload)
        case .text, .binary:
            guard fragments == nil else { throw violation("a new message begins before the last fragment of another") }
            guard frame.isFinal else {
                fragments = (frame.opcode, frame.payload)
                return nil
            }
            return .message(try message(frame.opcode, frame.payload))
        case .continuation:
            guard let begun = fragments else { throw violation("a continuation of nothing") }
            guard begun.payload.count + frame.payload.count <= maxMessageBytes else {
                throw FrameParser.Violation(
                    code: .messageTooBig, cause: "a message of over \(maxMessageBytes) bytes, in fragments")
            }
            fragments?.payload.append(contentsOf: frame.payload)
            guard frame.isFinal, let whole = fragments else { return nil }
            fragments = nil
            return .message(try message(whole.opcode, whole.payload))
        }
    }

    /// Section 8.1: text that is not UTF-8 fails the connection.
    private func message(_ opcode: Opcode, _ payload: [UInt8]) throws(FrameParser.Violation) -> WebSocketMessage {
        guard opcode == .text else { return .binary(payload) }
        guard let text = String(validating: payload, as: UTF8.self) else {
            throw FrameParser.Violation(code: .invalidPayload, cause: "text that is not UTF-8")
        }
        return .text(text)
    }

    /// Sections 5.5.1 and 7.1.5.
    private mutating func receiveClose(_ payload: [UInt8]) throws(FrameParser.Violation) -> WebSocketEvent {
        guard payload.count != 1 else { throw violation("a close frame of one byte") }
        var code = CloseCode.noStatus
        var reason = ""
        if payload.count >= 2 {
            code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
            guard code.mayBeSent else { throw violation("close code \(code.rawValue)") }
            guard let text = String(validating: payload.dropFirst(2), as: UTF8.self) else {
                throw FrameParser.Violation(code: .invalidPayload, cause: "a close reason that is not UTF-8")
            }
            reason = text
        }
        if state == .open { writeClose(code, reason: "") }
        state = .ended
        return .closed(code, reason: reason)
    }

    private func violation(_ cause: String) -> FrameParser.Violation {
        FrameParser.Violation(code: .protocolError, cause: cause)
    }
}
