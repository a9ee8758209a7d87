import Output

/// Cells that come from outside, in a table on a terminal. Bytes that stand in no UTF-8 part them: 0xFF rows, 0xFE
/// cells.
enum TableFuzzing {
    static func run(_ bytes: [UInt8]) {
        let rows = bytes.split(separator: 0xFF, omittingEmptySubsequences: false).map { row in
            row.split(separator: 0xFE, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        }
        let head = ["ID", "語"]
        let lines = Table.lines(head, rows).map(\.string)
        precondition(lines.count == rows.count + 1, "a row is not one line")
        precondition(!lines.contains(where: HiddenCharacters.areIn), "a hidden character goes to a terminal")
        // Each column is as wide in every row that has it, so rows of as many cells are as wide.
        var widths: [Int: Int] = [:]
        for (row, line) in zip([head] + rows, lines) {
            let width = TerminalWidth.columns(line)
            precondition(widths[row.count, default: width] == width, "columns that do not stand below each other")
            widths[row.count] = width
        }
    }
}
