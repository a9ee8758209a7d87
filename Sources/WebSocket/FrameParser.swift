/// Cuts bytes into frames (RFC 6455, section 5.2), whatever the pieces in which they come. It keeps nothing but a
/// header that is not whole yet: payload is handed on as it comes.
struct FrameParser: Sendable {
    struct Header: Equatable, Sendable {
        let opcode: Opcode
        let isFinal: Bool
        let length: Int
        /// The first octet of the key in the highest bits.
        let mask: UInt32?
    }

    enum Piece {
        case header(Header)
        /// Some of the payload of the last header, masked as it came; `offset` is its place there. A frame without
        /// payload has one empty piece.
        case payload(UnsafeRawBufferPointer, offset: Int, isLast: Bool)
    }

    struct Violation: Error, Equatable {
        let code: CloseCode
        let cause: String
    }

    private enum State {
        case header
        case payload(length: Int, offset: Int)
    }

    /// Section 5.1: a client masks, a server does not; each refuses the other.
    private let expectsMask: Bool
    private let maxFrameBytes: Int
    private var state = State.header
    /// The bytes of a header that is not whole: 14 at most, in two words, so that an idle connection holds no buffer.
    private var partial = PartialHeader()

    init(role: WebSocketRole, maxFrameBytes: Int) {
        expectsMask = role == .server
        self.maxFrameBytes = maxFrameBytes
    }

    /// The next piece; takes its bytes off `input`.
    /// - Returns: `nil` when all of `input` is taken.
    mutating func next(_ input: inout UnsafeRawBufferPointer) throws(Violation) -> Piece? {
        switch state {
        case .header:
            while let byte = input.first {
                input = UnsafeRawBufferPointer(rebasing: input.dropFirst())
                partial.append(byte)
                guard partial.count >= 2 else { continue }
                if partial.count == 2 { try checkStart() }
                guard partial.count == partial.expectedCount else { continue }
                let header = try wholeHeader()
                partial = PartialHeader()
                state = .payload(length: header.length, offset: 0)
                return .header(header)
            }
            return nil
        case .payload(let length, let offset):
            guard offset < length else {
                state = .header
                return .payload(UnsafeRawBufferPointer(rebasing: input.prefix(0)), offset: offset, isLast: true)
            }
            guard !input.isEmpty else { return nil }
            let piece = UnsafeRawBufferPointer(rebasing: input.prefix(length - offset))
            input = UnsafeRawBufferPointer(rebasing: input.dropFirst(piece.count))
            let isLast = offset + piece.count == length
            state = isLast ? .header : .payload(length: length, offset: offset + piece.count)
            return .payload(piece, offset: offset, isLast: isLast)
        }
    }

    /// What the first two bytes say is refused at once, whatever length follows.
    private func checkStart() throws(Violation) {
        let (first, second) = (partial[0], partial[1])
        guard first & 0x70 == 0 else { throw violation("a reserved bit is set, and no extension was agreed on") }
        guard let opcode = Opcode(rawValue: first & 0x0F) else { throw violation("reserved opcode \(first & 0x0F)") }
        let isMasked = second & 0x80 != 0
        guard isMasked == expectsMask else {
            throw violation(isMasked ? "a server must not mask its frames" : "a client must mask its frames")
        }
        guard opcode.isControl else { return }
        guard first & 0x80 != 0 else { throw violation("a control frame is fragmented") }
        guard second & 0x7F <= 125 else { throw violation("a control frame of over 125 bytes") }
    }

    private func wholeHeader() throws(Violation) -> Header {
        guard let opcode = Opcode(rawValue: partial[0] & 0x0F) else { throw violation("reserved opcode") }
        var length = UInt64(partial[1] & 0x7F)
        let lengthEnd = 2 + partial.lengthBytes
        if partial.lengthBytes > 0 {
            length = 0
            for index in 2..<lengthEnd { length = length << 8 | UInt64(partial[index]) }
            guard length >> 63 == 0 else { throw violation("a length with its highest bit set") }
        }
        guard length <= UInt64(maxFrameBytes) else {
            throw Violation(code: .messageTooBig, cause: "a frame of \(length) bytes; the limit is \(maxFrameBytes)")
        }
        var mask: UInt32?
        if expectsMask {
            var key: UInt32 = 0
            for index in lengthEnd..<(lengthEnd + 4) { key = key << 8 | UInt32(partial[index]) }
            mask = key
        }
        return Header(opcode: opcode, isFinal: partial[0] & 0x80 != 0, length: Int(length), mask: mask)
    }

    private func violation(_ cause: String) -> Violation {
        Violation(code: .protocolError, cause: cause)
    }
}

/// Up to 16 bytes without an allocation.
private struct PartialHeader: Sendable {
    private var words: (UInt64, UInt64) = (0, 0)
    private(set) var count = 0

    mutating func append(_ byte: UInt8) {
        let bits = UInt64(byte) << UInt64(count % 8 * 8)
        if count < 8 { words.0 |= bits } else { words.1 |= bits }
        count += 1
    }

    subscript(index: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: (index < 8 ? words.0 : words.1) >> UInt64(index % 8 * 8))
    }

    /// Known from the second byte on.
    var lengthBytes: Int {
        switch self[1] & 0x7F {
        case 126: 2
        case 127: 8
        default: 0
        }
    }

    var expectedCount: Int { 2 + lengthBytes + (self[1] & 0x80 == 0 ? 0 : 4) }
}
