/// Cuts bytes into frames (RFC 6455, section 5.2), whatever the pieces in which they come. A length is never allocated
/// before its bytes are here.
struct FrameParser {
    struct Frame: Equatable {
        let opcode: Opcode
        let isFinal: Bool
        let payload: [UInt8]
    }

    struct Violation: Error, Equatable {
        let code: CloseCode
        let cause: String
    }

    private let expectsMask: Bool
    private let maxPayloadBytes: Int
    private var buffer: [UInt8] = []
    private var start = 0

    init(role: WebSocketRole, maxPayloadBytes: Int) {
        // Section 5.1: a client masks, a server does not; each refuses the other.
        expectsMask = role == .server
        self.maxPayloadBytes = maxPayloadBytes
    }

    mutating func append(_ bytes: some Sequence<UInt8>) {
        if start > 0, start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 18)
            start = 0
        } else if start > 1 << 16 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame; `nil` when more bytes are needed.
    mutating func next() throws(Violation) -> Frame? {
        let available = buffer.count - start
        guard available >= 2 else { return nil }
        let (first, second) = (buffer[start], buffer[start + 1])
        guard first & 0x70 == 0 else { throw violation("a reserved bit is set, and no extension was agreed on") }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { throw violation("reserved opcode \(first & 0x0F)") }
        let isFinal = first & 0x80 != 0
        let isMasked = second & 0x80 != 0
        guard isMasked == expectsMask else {
            throw violation(isMasked ? "a server must not mask its frames" : "a client must mask its frames")
        }
        let short = Int(second & 0x7F)
        if opcode.isControl {
            guard isFinal else { throw violation("a control frame is fragmented") }
            guard short <= 125 else { throw violation("a control frame of over 125 bytes") }
        }
        let lengthBytes = short == 126 ? 2 : short == 127 ? 8 : 0
        let header = 2 + lengthBytes + (isMasked ? 4 : 0)
        guard available >= header else { return nil }
        var length = UInt64(short)
        if lengthBytes > 0 {
            length = buffer[(start + 2)..<(start + 2 + lengthBytes)].reduce(0) { $0 << 8 | UInt64($1) }
            guard length >> 63 == 0 else { throw violation("a length with its highest bit set") }
        }
        guard length <= UInt64(maxPayloadBytes) else {
            throw Violation(code: .messageTooBig, cause: "a frame of \(length) bytes; the limit is \(maxPayloadBytes)")
        }
        let payloadStart = start + header
        guard buffer.count - payloadStart >= Int(length) else { return nil }
        var payload = Array(buffer[payloadStart..<(payloadStart + Int(length))])
        if isMasked {
            let key = buffer[(payloadStart - 4)..<payloadStart].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
            payload.withUnsafeMutableBufferPointer { FrameMask.apply(key, to: $0) }
        }
        start = payloadStart + Int(length)
        return Frame(opcode: opcode, isFinal: isFinal, payload: payload)
    }

    private func violation(_ cause: String) -> Violation {
        Violation(code: .protocolError, cause: cause)
    }
}
