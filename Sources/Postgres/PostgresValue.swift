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
    /// Sent as microseconds: what is smaller is cut off.
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
}
