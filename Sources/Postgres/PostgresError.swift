import AsyncRuntime

/// What can go wrong between us and the server. Says whose fault it is, so that nobody reads texts.
package enum PostgresError: Error, Sendable, CustomStringConvertible {
    /// No connection could be made, or it broke; what was under way may or may not have been committed.
    case connection(String)
    /// The server refused a statement.
    case statement(StatementError)
    /// No answer until the deadline; the statement was cancelled.
    case deadlineExceeded(statement: String)
    /// An answer that does not have the shape that the caller expects: a bug, or another schema.
    case unexpectedResult(String)

    /// Passing trouble of the server or of the way to it, or a row that will never fit?
    package var blamesTheRow: Bool {
        if case .statement(let error) = self { return error.blamesTheRow }
        return false
    }

    /// The server is going away, or is not one to work with any more: connections made before lead nowhere either.
    var endsTheGeneration: Bool {
        switch self {
        case .connection: true
        case .statement(let error): error.blamesTheServer
        case .deadlineExceeded, .unexpectedResult: false
        }
    }

    package var description: String {
        switch self {
        case .connection(let reason): "no connection to Postgres: \(reason)"
        case .statement(let error): error.description
        case .deadlineExceeded(let statement): "\(statement): no answer from Postgres in time; cancelled"
        case .unexpectedResult(let reason): "unexpected result: \(reason)"
        }
    }
}

/// A statement that Postgres refused. It has neither DETAIL nor arguments, and its `description` has no MESSAGE of the
/// classes 22 and 23: they can quote a message body.
package struct StatementError: Error, Sendable, CustomStringConvertible {
    package let statement: String
    /// Five characters, Postgres documentation, appendix A.
    package let sqlState: String
    package let message: String
    package let constraint: String?
    /// The server's, or that of one of our functions: what to do.
    package let hint: String?

    package init(statement: String, sqlState: String, message: String, constraint: String?, hint: String? = nil) {
        self.statement = statement
        self.sqlState = sqlState
        self.message = message
        self.constraint = constraint
        self.hint = hint
    }

    /// Classes 22 (data), 23 (constraint) and 54 (a limit): this row will never fit, its neighbours may.
    package var blamesTheRow: Bool {
        sqlState.hasPrefix("22") || sqlState.hasPrefix("23") || sqlState.hasPrefix("54")
    }

    /// Class 42, and 3F000: a right is missing, or a table, a column or a function. It will be missing the next time
    /// too.
    package var isLasting: Bool { sqlState.hasPrefix("42") || sqlState == "3F000" }

    /// Gave up waiting for a lock (55P03).
    package var isLockTimeout: Bool { sqlState == "55P03" }

    /// Class 08 (the connection), and 25006: what wants to write is refused, as by a primary that has become a standby.
    var blamesTheServer: Bool { sqlState.hasPrefix("08") || sqlState == "25006" }

    package var description: String {
        let quotesData = sqlState.hasPrefix("22") || sqlState.hasPrefix("23")
        let words = [quotesData ? nil : message, constraint.map { "constraint \($0)" }].compactMap { $0 }
        return (["\(statement): SQLSTATE \(sqlState)"] + words).joined(separator: ", ")
    }
}
