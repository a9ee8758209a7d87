import Postgres

/// The first of what a list holds, and how many there are.
package struct Listed<Element: Sendable>: Sendable {
    package let rows: [Element]
    package let total: Int

    /// - Parameter found: with the column `total`.
    init(_ found: Rows, _ element: (Row) throws -> Element) throws {
        rows = try found.map(element)
        total = try found.first?.value("total") ?? 0
    }

    /// - Parameter all: nothing was left out.
    package init(all: [Element]) {
        rows = all
        total = all.count
    }

    /// How many there are beside the rows.
    package var rest: Int { max(0, total - rows.count) }
}
