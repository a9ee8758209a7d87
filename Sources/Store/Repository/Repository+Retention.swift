import AsyncRuntime
import Postgres

/// How long rows are kept that only serve for a while.
package struct Retention: Sendable {
    /// The platform delivers nothing again after a day.
    package var dedup: Duration = .seconds(24 * 3600)
    package var audit: Duration = .seconds(90 * 24 * 3600)
    /// What strangers said in a group is kept for the one run that gets it.
    package var groupContext: Duration = .seconds(24 * 3600)

    package init() {}
}

extension Repository {
    /// Heap blocks per statement: a few thousand rows, so that no transaction is long and ingest goes on in between.
    private static let pruneSlice = 64

    /// Forgets dedup and audit rows that are over their age, and what groups said to runs that are over, slice by
    /// slice.
    /// - Returns: how many.
    /// - Throws: `PostgresError`, `CancellationError`; slices before it stay pruned.
    package func prune(_ retention: Retention) async throws -> Int {
        try await prune("gateway.inbound_dedup", SQL.pruneDedup, olderThan: retention.dedup)
            + (try await prune("gateway.inbound_audit", SQL.pruneAudit, olderThan: retention.audit))
            + (try await prune("gateway.group_context", SQL.pruneContext, olderThan: retention.groupContext))
    }

    private func prune(_ table: String, _ statement: Statement, olderThan age: Duration) async throws -> Int {
        let blocks: Int = try await run(SQL.measureTable, [.text(table)]).first?.value("blocks") ?? 0
        var pruned = 0
        for first in stride(from: 0, to: blocks, by: Self.pruneSlice) {
            try Task.checkCancellation()
            pruned += try await run(
                statement, [.text("(\(first),0)"), .text("(\(first + Self.pruneSlice),0)"), .interval(age)],
                within: .seconds(60)
            ).affected
        }
        return pruned
    }
}
