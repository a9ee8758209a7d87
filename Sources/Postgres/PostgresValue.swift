import Foundation

/// A parameter of a statement, with its type on the server. Sent in binary (Postgres documentation, 55.7 and each
/// type's `_send` function).
package enum PostgresValue: Sendable, Equatable {
    case text(String?)
    case int(Int64?)
    case bool(Bool?)
    case bytes([UInt8]?)
    case uuid(UUID?)
    case jsonb(String?)
    /// Sent as text, as Postgres reads it, such as `3000 milliseconds`.
    case interval(Duration?)
    case textArray([String?])
    case intArray([Int64?])
    case boolArray([Bool?])
    case uuidArray([UUID?])

    var oid: UInt32 {
        switch self {
        case .text: 25
        case .int: 20
        case .bool: 16
        case .bytes: 17
        case .uuid: 2950
        case .jsonb: 3802
        case .interval: 1186
        case .textArray: 1009
        case .intArray: 1016
        case .boolArray: 1000
        case .uuidArray: 2951
        }
    }

    /// The binary form; `nil` is NULL.
    var encoded: [UInt8]? {
        switch self {
        case .text(let value): value.map { Array($0.utf8) }
        case .int(let value): value.map(Self.bytes)
        case .bool(let value): value.map { [$0 ? 1 : 0] }
        case .bytes(let value): value
        case .uuid(let value): value.map(Self.bytes)
        case .jsonb(let value): value.map { [1] + Array($0.utf8) }
        case .interval(let value): value.map(Self.bytes)
        case .textArray(let values): Self.array(of: 25, values) { Array($0.utf8) }
        case .intArray(let values): Self.array(of: 20, values, Self.bytes)
        case .boolArray(let values): Self.array(of: 16, values) { [$0 ? 1 : 0] }
        case .uuidArray(let values): Self.array(of: 2950, values, Self.bytes)
        }
    }

    private static func bytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    private static func bytes(_ value: UUID) -> [UInt8] {
        withUnsafeBytes(of: value.uuid) { Array($0) }
    }

    /// interval_send: microseconds, days, months.
    private static func bytes(_ value: Duration) -> [UInt8] {
        let microseconds = value.components.seconds * 1_000_000 + value.components.attoseconds / 1_000_000_000_000
        return bytes(microseconds) + bytes(Int32(0)) + bytes(Int32(0))
    }

    /// array_send: dimensions, has-null flag, element type, length and lower bound, then each element with its length.
    private static func array<T>(of oid: UInt32, _ values: [T?], _ encode: (T) -> [UInt8]) -> [UInt8] {
        var out = bytes(Int32(values.isEmpty ? 0 : 1)) + bytes(Int32(1)) + bytes(oid)
        guard !values.isEmpty else { return out }
        out += bytes(Int32(values.count)) + bytes(Int32(1))
        for value in values {
            guard let value else {
                out += bytes(Int32(-1))
                continue
            }
            let element = encode(value)
            out += bytes(Int32(element.count))
            out += element
        }
        return out
    }
}
