/// Whether a server takes what is written.
package enum Writability: Sendable, CustomStringConvertible {
    case writable, standby, readOnly

    /// Cheap, and writes nothing.
    package static let statement = Statement(
        name: "writability",
        sql: """
            SELECT pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only')::boolean AS is_read_only
            """, isPrepared: false)

    /// - Parameter rows: of `statement`.
    /// - Throws: `PostgresError.unexpectedResult`.
    package init(_ rows: Rows) throws {
        guard let row = rows.first else { throw PostgresError.unexpectedResult("writability: no row") }
        self =
            if try row.value("is_standby", as: Bool.self) {
                .standby
            } else {
                try row.value("is_read_only", as: Bool.self) ? .readOnly : .writable
            }
    }

    package var description: String {
        switch self {
        case .writable: "the server can be written"
        case .standby:
            "the server is a standby, and takes no writes: the primary is needed (a URL with several hosts finds it "
                + "with target_session_attrs=read-write)"
        case .readOnly:
            "the server is read only, and takes no writes (default_transaction_read_only is on)"
        }
    }
}
