import AsyncRuntime
import Foundation
import Postgres

/// The gateway's face to Postgres: one method per statement, each with a deadline, in the gateway's own terms.
package struct Repository: Sendable {
    package let pool: Pool
    private let times: BatchingTimes

    /// For what nobody waits for in person.
    package static let patience: Duration = .seconds(10)
    /// Of the server with a session that runs these statements: longer than anybody's patience with a statement.
    package static let sessionLimits = SessionLimits(
        statementTimeout: .seconds(15), idleInTransaction: .seconds(30))

    package init(pool: Pool, batching: Batching = Batching()) {
        self.pool = pool
        times = BatchingTimes(batching)
    }

    /// When windows close, for the statements that open and close them.
    package var batching: Batching { times.current.withLock { $0 } }

    /// Takes other times, in every copy of this repository, for the statements that begin from now on.
    package func update(_ batching: Batching) {
        times.current.withLock { $0 = batching }
    }

    @discardableResult
    package func run(_ statement: Statement, _ values: [PostgresValue], within patience: Duration = patience)
        async throws
        -> Rows
    {
        try await pool.query(statement, values, deadline: .after(patience))
    }
}

/// What all copies of a repository share.
private final class BatchingTimes: Sendable {
    let current: Mutex<Batching>

    init(_ batching: Batching) {
        current = Mutex(batching)
    }
}
