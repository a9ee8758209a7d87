import Output
import Store

extension Terminal {
    /// A table of what a list holds, and how much more there is.
    static func say<Element>(_ listed: Listed<Element>, _ head: [String], _ cells: (Element) -> [String]) {
        sayTable(head, listed.rows.map(cells))
        if listed.rest > 0 { say("and \(listed.rest) more: --limit \(listed.total) shows all") }
    }
}
