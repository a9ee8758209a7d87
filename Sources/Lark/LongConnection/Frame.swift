/// One frame of the long connection (pbbp2, shared by Feishu and Lark). Fields that were not there stay absent, so that
/// what came in goes out as it came.
package struct Frame: Sendable, Equatable {
    package struct Header: Sendable, Equatable {
        package var key: String
        package var value: String

        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    package enum Method {
        package static let control: Int32 = 0
        package static let data: Int32 = 1
    }

    /// Of all headers and texts of a frame; the platform's have some hundred bytes. An ack sends them back, so they are
    /// held until the event is stored.
    static let maxHeadBytes = 8 << 10

    package var sequenceID: UInt64
    package var logID: UInt64
    package var service: Int32
    package var method: Int32
    package var headers: [Header]
    package var payloadEncoding: String?
    package var payloadType: String?
    package var payload: [UInt8]?
    package var logIDNew: String?

    package init(
        sequenceID: UInt64 = 0, logID: UInt64 = 0, service: Int32, method: Int32, headers: [Header] = [],
        payloadEncoding: String? = nil, payloadType: String? = nil, payload: [UInt8]? = nil, logIDNew: String? = nil
    ) {
        self.sequenceID = sequenceID
        self.logID = logID
        self.service = service
        self.method = method
        self.headers = headers
        self.payloadEncoding = payloadEncoding
        self.payloadType = payloadType
        self.payload = payload
        self.logIDNew = logIDNew
    }

    /// The first header of a name counts.
    package func header(_ key: String) -> String? {
        // By bytes: keys come from outside, and of strings with many combining marks a comparison takes the square.
        headers.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// What is held of it without its payload, in bytes, roughly.
    package var headBytes: Int {
        headers.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 32 }
            + [payloadEncoding, payloadType, logIDNew].reduce(0) { $0 + ($1?.utf8.count ?? 0) }
    }

    /// A header's value to be compared with what we know; what is longer than any of that is nil.
    func word(_ key: String) -> String? {
        header(key).flatMap { $0.utf8.count <= JSONValue.maxWordBytes ? $0 : nil }
    }
}

/// Bytes that are no frame.
package enum FrameError: Error, Sendable, Equatable, CustomStringConvertible {
    case truncated
    case overlongVarint
    case wrongWireType(field: UInt64)
    case reservedWireType(UInt8)
    case unbalancedGroup
    case invalidFieldNumber
    case invalidUTF8(field: UInt64)
    case missing(field: String)
    /// Headers and texts beside the payload are larger than anything the platform sends.
    case headTooLarge
    /// A `message_id` or `trace_id` of over 256 bytes.
    case overlongID(bytes: Int)

    package var description: String {
        switch self {
        case .truncated: "the bytes end inside a field"
        case .overlongVarint: "a varint of over 10 bytes"
        case .wrongWireType(let field): "field \(field) has another wire type"
        case .reservedWireType(let type): "reserved wire type \(type)"
        case .unbalancedGroup: "a group that does not begin or end"
        case .invalidFieldNumber: "field number 0"
        case .invalidUTF8(let field): "field \(field) is not UTF-8"
        case .headTooLarge: "over \(Frame.maxHeadBytes) bytes of headers"
        case .overlongID(let bytes): "an id of \(bytes) bytes in a header"
        case .missing(let field): "required field \(field) is missing"
        }
    }
}
