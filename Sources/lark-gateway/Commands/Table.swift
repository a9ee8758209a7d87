/// Rows with columns as wide as their widest cell.
enum Table {
    static func print(_ head: [String], _ rows: [[String]]) {
        let all = ([head] + rows).map { $0.map { TerminalText.line($0) } }
        for row in all {
            let cells = row.enumerated().map { column, cell in
                let width = all.map { $0[column].count }.max() ?? 0
                return cell + String(repeating: " ", count: width - cell.count)
            }
            Swift.print(cells.joined(separator: "  "))
        }
    }
}
