/// Rows with columns as wide as their widest cell. Each cell is measured once.
package enum Table {
    /// - Returns: one line for the head, and one for each row.
    package static func lines(_ head: [String], _ rows: [[String]]) -> [TerminalText] {
        let all = ([head] + rows).map { row in
            row.map { cell in
                let text: TerminalText = "\(cell)"
                return (text: text, width: TerminalWidth.columns(text.string))
            }
        }
        var widths: [Int] = []
        for row in all {
            widths += repeatElement(0, count: max(0, row.count - widths.count))
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.width) }
        }
        return all.map { row in
            let cells = zip(row, widths).map { cell, width -> TerminalText in
                "\(cell.text)\(String(repeating: " ", count: width - cell.width))"
            }
            return TerminalText(joining: cells, with: "  ")
        }
    }
}
