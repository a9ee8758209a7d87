import Foundation

/// The binary forms of a statement's parameters, one after another in one buffer (Postgres documentation, 55.7 and each
/// type's `_send` function).
struct ParameterEncoder {
    /// Begins with a byte of nobody's: an empty value needs an address too.
    private(set) var bytes: [UInt8] = [0]
    /// Where each parameter stands; `nil` is NULL.
    private(set) var ranges: [Range<Int>?] = []

    mutating func append(_ value: PostgresValue) {
        let start = bytes.count
        let isNull =
            switch value {
            case .text(let value): put(value) { $0.put($1) }
            case .int(let value): put(value) { $0.put($1) }
            case .bool(let value): put(value) { $0.put($1) }
            case .bytes(let value): put(value) { $0.bytes += $1 }
            case .uuid(let value): put(value) { $0.put($1) }
            case .jsonb(let value):
                put(value) {
                    $0.bytes.append(1)
                    $0.put($1)
                }
            case .interval(let value): put(value) { $0.put($1) }
            case .textArray(let values): put(array: values, of: 25) { $0.put($1) }
            case .intArray(let values): put(array: values, of: 20) { $0.put($1) }
            case .boolArray(let values): put(array: values, of: 16) { $0.put($1) }
            case .uuidArray(let values): put(array: values, of: 2950) { $0.put($1) }
            }
        ranges.append(isNull ? nil : start..<bytes.count)
    }

    private mutating func put<T>(_ value: T?, _ write: (inout Self, T) -> Void) -> Bool {
        guard let value else { return true }
        write(&self, value)
        return false
    }

    /// array_send: dimensions, has-null flag, element type, length and lower bound, then each element with its length.
    private mutating func put<T>(array values: [T?], of oid: UInt32, _ write: (inout Self, T) -> Void) -> Bool {
        put(Int32(values.isEmpty ? 0 : 1))
        put(Int32(1))
        put(oid)
        guard !values.isEmpty else { return false }
        put(Int32(values.count))
        put(Int32(1))
        for value in values {
            let start = bytes.count
            put(Int32(-1))
            guard let value else { continue }
            write(&self, value)
            let length = UInt32(bytes.count - start - 4)
            for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index))) }
        }
        return false
    }

    private mutating func put(_ value: String) {
        bytes.append(contentsOf: value.utf8)
    }

    private mutating func put(_ value: Bool) {
        bytes.append(value ? 1 : 0)
    }

    private mutating func put(_ value: UUID) {
        withUnsafeBytes(of: value.uuid) { bytes.append(contentsOf: $0) }
    }

    /// interval_send: microseconds, days, months.
    private mutating func put(_ value: Duration) {
        put(value.components.seconds * 1_000_000 + value.components.attoseconds / 1_000_000_000_000)
        put(Int32(0))
        put(Int32(0))
    }

    private mutating func put<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
