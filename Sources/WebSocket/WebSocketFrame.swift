/// RFC 6455, section 5.2.
package enum Opcode: UInt8, Sendable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    var isControl: Bool { rawValue & 0x8 != 0 }
}

/// RFC 6455, section 7.4.1.
package struct CloseCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static let normal = CloseCode(rawValue: 1000)
    package static let goingAway = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    package static let noStatus = CloseCode(rawValue: 1005)
    package static let invalidPayload = CloseCode(rawValue: 1007)
    package static let messageTooBig = CloseCode(rawValue: 1009)

    /// Whether a peer may send it in a close frame (section 7.4.2 and the IANA registry).
    var mayBeSent: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// One whole message, put together from its fragments.
package enum WebSocketMessage: Sendable, Equatable {
    case text(String)
    case binary([UInt8])
}

/// What the bytes of the peer amount to.
package enum WebSocketEvent: Sendable, Equatable {
    case message(WebSocketMessage)
    /// Has been answered already.
    case ping([UInt8])
    case pong([UInt8])
    /// The closing handshake of the peer, or its answer to ours; nothing comes after it.
    case closed(CloseCode, reason: String)
    /// The peer broke the protocol; a close frame with this code is in the output. Nothing comes after it.
    case failed(CloseCode, cause: String)
}

/// Encoding of one frame (section 5.2).
enum FrameEncoder {
    static func append(
        _ opcode: Opcode, _ payload: some Collection<UInt8>, isFinal: Bool = true, mask: UInt32?,
        to output: inout [UInt8]
    ) {
        output.reserveCapacity(output.count + payload.count + 14)
        output.append((isFinal ? 0x80 : 0) | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ...125:
            output.append(maskBit | UInt8(payload.count))
        case ...0xFFFF:
            output.append(maskBit | 126)
            withUnsafeBytes(of: UInt16(payload.count).bigEndian) { output.append(contentsOf: $0) }
        default:
            output.append(maskBit | 127)
            withUnsafeBytes(of: UInt64(payload.count).bigEndian) { output.append(contentsOf: $0) }
        }
        guard let mask else {
            output.append(contentsOf: payload)
            return
        }
        withUnsafeBytes(of: mask.bigEndian) { output.append(contentsOf: $0) }
        let start = output.count
        output.append(contentsOf: payload)
        output.withUnsafeMutableBytes {
            FrameMask.apply(mask, to: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
        }
    }
}

/// Section 5.3: octet i is XORed with octet i mod 4 of the key.
enum FrameMask {
    /// - Parameter offset: the place of the first byte in its frame.
    static func apply(_ mask: UInt32, offset: Int = 0, to bytes: UnsafeMutableRawBufferPointer) {
        let turn = UInt32(offset & 3) * 8
        let key = turn == 0 ? mask : mask << turn | mask >> (32 - turn)
        let wide = (UInt64(key) << 32 | UInt64(key)).bigEndian
        let words = bytes.count / 8
        for word in 0..<words {
            let old = bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
            bytes.storeBytes(of: old ^ wide, toByteOffset: word * 8, as: UInt64.self)
        }
        for index in (words * 8)..<bytes.count {
            bytes[index] ^= UInt8(truncatingIfNeeded: key >> UInt32(24 - (index & 3) * 8))
        }
    }
}
