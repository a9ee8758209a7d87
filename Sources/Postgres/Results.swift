import CLibpq

extension Rows {
    /// Copies a PGresult; the caller clears it.
    init(result: OpaquePointer, statement: String) {
        let width = Int(PQnfields(result))
        let height = Int(PQntuples(result))
        var columns: [String: Int] = [:]
        var types: [UInt32] = []
        for column in 0..<width {
            columns[String(cString: PQfname(result, Int32(column)))] = column
            types.append(PQftype(result, Int32(column)))
        }
        var cells: [Range<Int>?] = []
        cells.reserveCapacity(width * height)
        var bytes: [UInt8] = []
        for row in 0..<Int32(height) {
            for column in 0..<Int32(width) {
                guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else {
                    cells.append(nil)
                    continue
                }
                let length = Int(PQgetlength(result, row, column))
                cells.append(bytes.count..<(bytes.count + length))
                bytes.append(contentsOf: UnsafeRawBufferPointer(start: value, count: length))
            }
        }
        self.init(
            statement: statement, columns: columns, types: types, cells: cells, bytes: bytes,
            affected: Int(String(cString: PQcmdTuples(result))) ?? 0)
    }
}

extension StatementError {
    init(result: OpaquePointer, statement: String) {
        func field(_ code: Character) -> String? {
            guard let ascii = code.asciiValue, let text = PQresultErrorField(result, Int32(ascii)) else { return nil }
            return String(cString: text)
        }
        // The codes of PG_DIAG_SQLSTATE, _MESSAGE_PRIMARY, _CONSTRAINT_NAME and _MESSAGE_HINT (postgres_ext.h).
        self.init(
            statement: statement, sqlState: field("C") ?? "XX000", message: field("M") ?? "no message",
            constraint: field("n"), hint: field("H"))
    }
}
