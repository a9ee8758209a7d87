import AsyncRuntime
import Foundation

/// What was taken from the outbox and is not settled yet.
final class RowsUnderWay: Sendable {
    private let rows = Mutex(Set<UUID>())

    var ids: [UUID] { rows.withLock { Array($0) } }
    var count: Int { rows.withLock { $0.count } }

    func begin(_ row: OutboxRow) {
        rows.withLock { _ = $0.insert(row.id) }
    }

    func end(_ row: OutboxRow) {
        rows.withLock { _ = $0.remove(row.id) }
    }
}
