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
    private let limits: WebSocketLimits
    private let nextMask: @Sendable () -> UInt32
    private var parser: FrameParser
    private var state = State.open
    /// The frame whose payload is coming in.
    private var frame: FrameParser.Header?
    /// The payload of a control frame as far as it is here. They stand between the fragments of a message.
    private var control: [UInt8] = []
    /// The message that is coming in.
    private var message: IncomingMessage?
    private var output: [UInt8] = []

    private struct IncomingMessage {
        let opcode: Opcode
        var payload: [UInt8] = []
        var text = UTF8Validator()

        /// - Returns: false when it is text that is not UTF-8.
        mutating func append(_ bytes: UnsafeRawBufferPointer, mask: UInt32?, offset: Int) -> Bool {
            let start = payload.count
            WebSocketProtocol.append(bytes, to: &payload, mask, offset)
            guard opcode == .text else { return true }
            return payload.withUnsafeBytes { text.accept(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        }
    }

    /// - Parameter limits: what is larger ends the connection with 1009.
    /// - Parameter nextMask: section 5.3 asks for a strong source of entropy; tests give their own.
    package init(
        role: WebSocketRole, limits: WebSocketLimits = WebSocketLimits(),
        nextMask: @escaping @Sendable () -> UInt32 = { UInt32.random(in: .min ... .max) }
    ) {
        self.role = role
        self.limits = limits
        self.nextMask = nextMask
        parser = FrameParser(role: role, maxFrameBytes: limits.maxFrameBytes)
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

    package mutating func receive(_ bytes: [UInt8]) -> [WebSocketEvent] {
        bytes.withUnsafeBytes { receive($0) }
    }

    /// - Parameter bytes: read before it returns, and not kept.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer) -> [WebSocketEvent] {
        var input = bytes
        var events: [WebSocketEvent] = []
        while state != .ended {
            do throws(FrameParser.Violation) {
                guard let piece = try parser.next(&input) else { break }
                switch piece {
                case .header(let header): try begin(header)
                case .payload(let bytes, let offset, let isLast):
                    if let event = try receive(bytes, offset: offset, isLast: isLast) { events.append(event) }
                }
            } catch {
                if state == .open { writeClose(error.code, reason: "") }
                end()
                events.append(.failed(error.code, cause: error.cause))
            }
        }
        return events
    }

    /// Sections 5.4 and 5.5: what may follow what.
    private mutating func begin(_ header: FrameParser.Header) throws(FrameParser.Violation) {
        frame = header
        switch header.opcode {
        case .ping, .pong, .close: return
        case .text, .binary:
            guard message == nil else { throw violation("a new message begins before the last fragment of another") }
            message = IncomingMessage(opcode: header.opcode)
        case .continuation:
            guard message != nil else { throw violation("a continuation of nothing") }
        }
        guard (message?.payload.count ?? 0) + header.length <= limits.maxMessageBytes else {
            throw FrameParser.Violation(
                code: .messageTooBig, cause: "a message of over \(limits.maxMessageBytes) bytes")
        }
    }

    private mutating func receive(
        _ bytes: UnsafeRawBufferPointer, offset: Int, isLast: Bool
    ) throws(FrameParser.Violation) -> WebSocketEvent? {
        guard let frame else { return nil }
        guard !frame.opcode.isControl else {
            Self.append(bytes, to: &control, frame.mask, offset)
            guard isLast else { return nil }
            defer { control = [] }
            return try receiveControl(frame.opcode, control)
        }
        guard message?.append(bytes, mask: frame.mask, offset: offset) ?? true else { throw Self.notText }
        guard isLast, frame.isFinal, let whole = message else { return nil }
        message = nil
        guard whole.opcode == .text else { return .message(.binary(whole.payload)) }
        guard whole.text.isComplete else { throw Self.notText }
        return .message(.text(String(decoding: whole.payload, as: UTF8.self)))
    }

    private static func append(
        _ bytes: UnsafeRawBufferPointer, to payload: inout [UInt8], _ mask: UInt32?, _ offset: Int
    ) {
        let start = payload.count
        payload.append(contentsOf: bytes)
        guard let mask else { return }
        payload.withUnsafeMutableBytes {
            FrameMask.apply(mask, offset: offset, to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
        }
    }

    private mutating func receiveControl(
        _ opcode: Opcode, _ payload: [UInt8]
    ) throws(FrameParser.Violation) -> WebSocketEvent? {
        switch opcode {
        case .ping:
            // Section 5.5.3; not after our own close frame (5.5.1).
            if state == .open { write(.pong, payload) }
            return .ping(payload)
        case .pong: return .pong(payload)
        case .close: return try receiveClose(payload)
        case .text, .binary, .continuation: return nil
        }
    }

    /// Section 8.1: text that is not UTF-8 fails the connection.
    private static let notText = FrameParser.Violation(code: .invalidPayload, cause: "text that is not UTF-8")

    private mutating func end() {
        state = .ended
        message = nil
        control = []
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
        end()
        return .closed(code, reason: reason)
    }

    private func violation(_ cause: String) -> FrameParser.Violation {
        FrameParser.Violation(code: .protocolError, cause: cause)
    }
}
