import Foundation

/// What a statement answered. Column names are resolved once per result.
package struct Rows: Sendable, RandomAccessCollection {
    let statement: String
    let columns: [String: Int]
    let types: [UInt32]
    /// Where each cell stands in `bytes`; `nil` is NULL.
    let cells: [Range<Int>?]
    let bytes: [UInt8]
    /// Rows that an INSERT, UPDATE or DELETE without RETURNING touched.
    package var affected: Int

    package var startIndex: Int { 0 }
    package var endIndex: Int { types.isEmpty ? 0 : cells.count / types.count }

    package subscript(position: Int) -> Row {
        Row(rows: self, base: position * types.count)
    }
}

/// One row. Reading a column that is missing, NULL where a value is asked for, or of another type throws
/// `PostgresError.unexpectedResult`.
package struct Row: Sendable {
    let rows: Rows
    let base: Int

    package func value<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws -> T {
        guard let value: T = try optional(column) else { throw unexpected(column, "is NULL") }
        return value
    }

    package func optional<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws -> T? {
        guard let index = rows.columns[column] else { throw unexpected(column, "is missing") }
        guard let range = rows.cells[base + index] else { return nil }
        guard let value = T(postgresBytes: rows.bytes[range], oid: rows.types[index]) else {
            throw unexpected(column, "of type \(rows.types[index]) is no \(T.self)")
        }
        return value
    }

    private func unexpected(_ column: String, _ what: String) -> PostgresError {
        .unexpectedResult("\(rows.statement): column \(column) \(what)")
    }
}

/// A Swift type that is read from the server's binary form.
package protocol PostgresDecodable {
    init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32)
}

extension PostgresDecodable {
    fileprivate static func integer(_ bytes: ArraySlice<UInt8>) -> Int64 {
        bytes.reduce(bytes.first.map { $0 & 0x80 != 0 ? -1 : 0 } ?? 0) { ($0 << 8) | Int64($1) }
    }
}

extension Int64: PostgresDecodable {
    package init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32) {
        guard [20, 21, 23].contains(oid), bytes.count <= 8 else { return nil }
        self = Self.integer(bytes)
    }
}

extension Int: PostgresDecodable {
    package init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32) {
        guard let value = Int64(postgresBytes: bytes, oid: oid) else { return nil }
        self.init(exactly: value)
    }
}

extension Bool: PostgresDecodable {
    package init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32) {
        guard oid == 16, bytes.count == 1 else { return nil }
        self = bytes.first != 0
    }
}

/// text, varchar, name, json, jsonb (without its version byte), "char" and unknown.
extension String: PostgresDecodable {
    package init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32) {
        switch oid {
        case 25, 1043, 19, 114, 18, 705: self.init(decoding: bytes, as: UTF8.self)
        case 3802: self.init(decoding: bytes.dropFirst(), as: UTF8.self)
        default: return nil
        }
    }
}

/// bytea.
extension [UInt8]: PostgresDecodable {
    package init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32) {
        guard oid == 17 else { return nil }
        self = Array(bytes)
    }
}

extension UUID: PostgresDecodable {
    package init?(postgresBytes bytes: ArraySlice<UInt8>, oid: UInt32) {
        guard oid == 2950, bytes.count == 16 else { return nil }
        self = bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
    }
}
