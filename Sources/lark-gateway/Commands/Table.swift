/// Rows with columns as wide as their widest cell.
enum Table {
    static func print(_ head: [String], _ rows: [[String]]) {
        for line in lines(head, rows) { Swift.print(line) }
    }

    /// Each cell is measured once.
    static func lines(_ head: [String], _ rows: [[String]]) -> [String] {
        let all = ([head] + rows).map { row in
            row.map { cell in
                let text = TerminalText.line(cell)
                return (text: text, width: text.count)
            }
        }
        var widths: [Int] = []
        for row in all {
            widths += repeatElement(0, count: max(0, row.count - widths.count))
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.width) }
        }
        return all.map { row in
            zip(row, widths).map { cell, width in
                cell.text + String(repeating: " ", count: width - cell.width)
            }.joined(separator: "  ")
        }
    }
}
