/// Protobuf (proto2) for the one message of nine fields that the platform sends. Source: the official SDKs'
/// pbbp2.proto; the wire format: protobuf.dev, "Encoding".
extension Frame {
    private enum Field: UInt64 {
        case sequenceID = 1, logID, service, method, headers, payloadEncoding, payloadType, payload, logIDNew
    }

    /// - Throws: `FrameError`. Nothing is allocated by a length that the bytes do not hold.
    package init(decoding bytes: some Collection<UInt8>) throws(FrameError) {
        var reader = ProtobufReader(ArraySlice(bytes))
        var frame = Frame(service: 0, method: 0)
        // One bit per field number.
        var seen: UInt64 = 0
        var headBytes = 0
        while let (number, wireType) = try reader.nextTag() {
            guard let field = Field(rawValue: number) else {
                try reader.skip(number, wireType)
                continue
            }
            seen |= 1 << number
            // Before anything of it is kept. An empty header costs the two bytes that begin it, and more in memory.
            if [.headers, .payloadEncoding, .payloadType, .logIDNew].contains(field), wireType == 2 {
                headBytes += try reader.peekLength() + 2
                guard headBytes <= Self.maxHeadBytes else { throw FrameError.headTooLarge }
            }
            switch field {
            case .sequenceID: frame.sequenceID = try reader.varint(number, wireType)
            case .logID: frame.logID = try reader.varint(number, wireType)
            case .service: frame.service = Int32(truncatingIfNeeded: try reader.varint(number, wireType))
            case .method: frame.method = Int32(truncatingIfNeeded: try reader.varint(number, wireType))
            case .headers: frame.headers.append(try Self.header(ProtobufReader(try reader.bytes(number, wireType))))
            case .payloadEncoding: frame.payloadEncoding = try reader.string(number, wireType)
            case .payloadType: frame.payloadType = try reader.string(number, wireType)
            case .payload: frame.payload = Array(try reader.bytes(number, wireType))
            case .logIDNew: frame.logIDNew = try reader.string(number, wireType)
            }
        }
        guard seen & 1 << Field.sequenceID.rawValue != 0 else { throw FrameError.missing(field: "SeqID") }
        guard seen & 1 << Field.logID.rawValue != 0 else { throw FrameError.missing(field: "LogID") }
        guard seen & 1 << Field.service.rawValue != 0 else { throw FrameError.missing(field: "service") }
        guard seen & 1 << Field.method.rawValue != 0 else { throw FrameError.missing(field: "method") }
        self = frame
    }

    private static func header(_ reader: consuming ProtobufReader) throws(FrameError) -> Header {
        var (key, value): (String?, String?)
        while let (number, wireType) = try reader.nextTag() {
            switch number {
            case 1: key = try reader.string(number, wireType)
            case 2: value = try reader.string(number, wireType)
            default: try reader.skip(number, wireType)
            }
        }
        guard let key else { throw FrameError.missing(field: "Header.key") }
        guard let value else { throw FrameError.missing(field: "Header.value") }
        guard value.utf8.count <= JSONValue.maxWordBytes || !isID(key) else {
            throw FrameError.overlongID(bytes: value.utf8.count)
        }
        return Header(key: key, value: value)
    }

    /// What events are told apart by, and what the log shows.
    private static func isID(_ key: String) -> Bool {
        key.utf8.elementsEqual("message_id".utf8) || key.utf8.elementsEqual("trace_id".utf8)
    }

    /// The four required numbers always, zero too; fields in the order of their numbers.
    package func encoded() -> [UInt8] {
        var writer = ProtobufWriter()
        writer.varint(Field.sequenceID.rawValue, sequenceID)
        writer.varint(Field.logID.rawValue, logID)
        // A negative int32 is sign-extended: ten bytes.
        writer.varint(Field.service.rawValue, UInt64(bitPattern: Int64(service)))
        writer.varint(Field.method.rawValue, UInt64(bitPattern: Int64(method)))
        for header in headers {
            writer.message(
                Field.headers.rawValue,
                size: ProtobufWriter.size(1, header.key.utf8) + ProtobufWriter.size(2, header.value.utf8))
            writer.bytes(1, header.key.utf8)
            writer.bytes(2, header.value.utf8)
        }
        if let payloadEncoding { writer.bytes(Field.payloadEncoding.rawValue, payloadEncoding.utf8) }
        if let payloadType { writer.bytes(Field.payloadType.rawValue, payloadType.utf8) }
        if let payload { writer.bytes(Field.payload.rawValue, payload) }
        if let logIDNew { writer.bytes(Field.logIDNew.rawValue, logIDNew.utf8) }
        return writer.output
    }
}

struct ProtobufWriter {
    private(set) var output: [UInt8] = []

    init() {
        output.reserveCapacity(512)
    }

    mutating func varint(_ field: UInt64, _ value: UInt64) {
        append(field << 3)
        append(value)
    }

    mutating func bytes(_ field: UInt64, _ value: some Collection<UInt8>) {
        message(field, size: value.count)
        output.append(contentsOf: value)
    }

    /// Begins a message inside this one, whose `size` bytes are written next.
    mutating func message(_ field: UInt64, size: Int) {
        append(field << 3 | 2)
        append(UInt64(size))
    }

    /// How many bytes `bytes` writes.
    static func size(_ field: UInt64, _ value: some Collection<UInt8>) -> Int {
        let count = value.count
        return size(field << 3) + size(UInt64(count)) + count
    }

    private static func size(_ value: UInt64) -> Int {
        max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7)
    }

    private mutating func append(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }
}

struct ProtobufReader {
    private let input: ArraySlice<UInt8>
    private var position: Int

    init(_ input: ArraySlice<UInt8>) {
        self.input = input
        position = input.startIndex
    }

    /// The next field's number and wire type; `nil` at the end.
    mutating func nextTag() throws(FrameError) -> (UInt64, UInt8)? {
        guard position < input.endIndex else { return nil }
        let tag = try varint()
        guard tag >> 3 != 0, tag >> 3 < 1 << 29 else { throw .invalidFieldNumber }
        return (tag >> 3, UInt8(tag & 7))
    }

    mutating func varint(_ field: UInt64, _ wireType: UInt8) throws(FrameError) -> UInt64 {
        guard wireType == 0 else { throw try mismatch(field, wireType) }
        return try varint()
    }

    mutating func bytes(_ field: UInt64, _ wireType: UInt8) throws(FrameError) -> ArraySlice<UInt8> {
        guard wireType == 2 else { throw try mismatch(field, wireType) }
        let length = try varint()
        guard length <= UInt64(input.endIndex - position) else { throw .truncated }
        defer { position += Int(length) }
        return input[position..<(position + Int(length))]
    }

    /// How many bytes the field has that comes next, without taking it.
    func peekLength() throws(FrameError) -> Int {
        var copy = self
        let length = try copy.varint()
        guard length <= UInt64(input.endIndex - copy.position) else { throw .truncated }
        return Int(length)
    }

    mutating func string(_ field: UInt64, _ wireType: UInt8) throws(FrameError) -> String {
        guard let text = String(validating: try bytes(field, wireType), as: UTF8.self) else {
            throw .invalidUTF8(field: field)
        }
        return text
    }

    private func mismatch(_ field: UInt64, _ wireType: UInt8) throws(FrameError) -> FrameError {
        switch wireType {
        case 3, 4: .unbalancedGroup
        case 6, 7: .reservedWireType(wireType)
        default: .wrongWireType(field: field)
        }
    }

    /// An unknown field; a group with all that is in it.
    mutating func skip(_ field: UInt64, _ wireType: UInt8) throws(FrameError) {
        // Iterative: nesting that the peer chooses must not use up our stack.
        var open: [UInt64] = []
        var (field, wireType) = (field, wireType)
        while true {
            switch wireType {
            case 0: _ = try varint()
            case 1: try advance(8)
            case 2: _ = try bytes(field, wireType)
            case 5: try advance(4)
            case 3: open.append(field)
            case 4: guard open.popLast() == field else { throw .unbalancedGroup }
            default: throw .reservedWireType(wireType)
            }
            guard !open.isEmpty else { return }
            guard let next = try nextTag() else { throw .unbalancedGroup }
            (field, wireType) = next
        }
    }

    private mutating func advance(_ count: Int) throws(FrameError) {
        guard input.endIndex - position >= count else { throw .truncated }
        position += count
    }

    private mutating func varint() throws(FrameError) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<10 {
            guard position < input.endIndex else { throw .truncated }
            let byte = input[position]
            position += 1
            value |= UInt64(byte & 0x7F) << (7 * index)
            if byte & 0x80 == 0 { return value }
        }
        throw .overlongVarint
    }
}
