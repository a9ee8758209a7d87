import Configuration
import Output
import Store

/// How a list is printed: as a table for people, or with `--json` as one object for programs.
enum ListFormat {
    case table
    case json

    /// - Throws: `UsageError` for a command that prints no list.
    init(_ arguments: Arguments) throws {
        self = arguments.flags.contains("json") ? .json : .table
        if self == .json, arguments.positional.first != "list" { throw UsageError("--json is for lists and status") }
    }
}

/// What a list shows of its elements: a table's cells, and the members of a JSON object.
struct ListOutput<Element: Sendable>: Sendable {
    /// In JSON the list is the member of this name.
    let name: String
    let head: [String]
    let cells: @Sendable (Element) -> [String]
    let object: @Sendable (Element) -> OrderedJSON

    /// A table of what a list holds, and how much more there is; or one object with both.
    func say(_ listed: Listed<Element>, as format: ListFormat) {
        switch format {
        case .table:
            Terminal.sayTable(head, listed.rows.map(cells))
            if listed.rest > 0 { Terminal.say("and \(listed.rest) more: --limit \(listed.total) shows all") }
        case .json:
            Terminal.sayJSON(.object([(name, .array(listed.rows.map(object))), ("rest", .integer(listed.rest))]))
        }
    }
}

extension Terminal {
    /// One document to standard output; hidden characters of it are escaped.
    static func sayJSON(_ json: OrderedJSON) {
        say(TerminalText(document: String(json.text.dropLast())))
    }
}
