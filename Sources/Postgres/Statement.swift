/// One SQL statement: its name stands in logs, errors and, on the server, as the prepared statement's name.
package struct Statement: Sendable {
    package let name: String
    package let sql: String
    /// Prepared once per connection. Off for what runs once.
    package let isPrepared: Bool

    package init(name: String, sql: String, isPrepared: Bool = true) {
        self.name = name
        self.sql = sql
        self.isPrepared = isPrepared
    }

    /// A call of a function that returns rows: `SELECT columns FROM schema.function($1, …)`. The statement is named
    /// after the function.
    /// - Parameters:
    ///   - parameters: how many.
    ///   - casts: the types of those that a function does not take as `PostgresValue` sends them, by number.
    package static func call(
        _ function: String, in schema: String, parameters: Int, casts: [Int: String] = [:], returning columns: [String]
    ) -> Statement {
        let arguments = arguments(parameters, casts)
        return Statement(
            name: function, sql: "SELECT \(columns.joined(separator: ", ")) FROM \(schema).\(function)(\(arguments))")
    }

    /// A call of a function that returns one value, or none: `SELECT schema.function($1, …) AS column`.
    package static func call(
        _ function: String, in schema: String, parameters: Int, as column: String = "nothing"
    ) -> Statement {
        Statement(name: function, sql: "SELECT \(schema).\(function)(\(arguments(parameters, [:]))) AS \(column)")
    }

    private static func arguments(_ count: Int, _ casts: [Int: String]) -> String {
        (0..<count).map { index in "$\(index + 1)" + (casts[index + 1].map { "::" + $0 } ?? "") }
            .joined(separator: ", ")
    }
}
