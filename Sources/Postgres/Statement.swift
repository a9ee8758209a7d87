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
}
