import AsyncRuntime
import Store

/// What the connections of this replica do, for metrics at once and for the database, where `status` reads it, a little
/// later.
final class ConnectionBoard: Sendable {
    private struct Board {
        var states: [Lease: ConnectionState] = [:]
        var unwritten: [Lease: ConnectionChange] = [:]
    }

    private let board = Mutex(Board())
    private let metrics: Metrics
    private let hasChanges = Doorbell()

    /// Changes of this time are written together.
    private static let delay: Duration = .milliseconds(500)

    init(metrics: Metrics) {
        self.metrics = metrics
    }

    func set(_ state: ConnectionState, of lease: Lease) {
        board.withLock { board in
            board.states[lease] = state
            board.unwritten[lease] = ConnectionChange(lease: lease, state: state, since: .now)
            count(board)
        }
        hasChanges.ring()
    }

    /// It is not ours any more.
    func remove(_ lease: Lease) {
        board.withLock { board in
            board.states[lease] = nil
            board.unwritten[lease] = nil
            count(board)
        }
    }

    private func count(_ board: Board) {
        var counts = Dictionary(uniqueKeysWithValues: ConnectionState.Name.allCases.map { ($0, 0) })
        for state in board.states.values { counts[state.kind, default: 0] += 1 }
        for (name, count) in counts { metrics.set(.installations, name.rawValue, to: count) }
    }

    /// Writes changes until the task is cancelled.
    func keepWriting(to repository: Repository, outages: OutageLog) async {
        while !Task.isCancelled {
            await hasChanges.wait(atMost: .seconds(60))
            try? await Task.sleep(for: Self.delay)
            let changes = board.withLock { board in
                defer { board.unwritten = [:] }
                return Array(board.unwritten.values)
            }
            guard !changes.isEmpty, !Task.isCancelled else { continue }
            do {
                try await repository.record(changes, now: .now)
                outages.succeeded("record_connections")
            } catch {
                outages.failed("record_connections", error)
                putBack(changes)
                try? await Task.sleep(for: .seconds(1))
                hasChanges.ring()
            }
        }
    }

    /// Skips a lease that has a newer change, or that we have lost.
    private func putBack(_ changes: [ConnectionChange]) {
        board.withLock { board in
            for change in changes where board.unwritten[change.lease] == nil && board.states[change.lease] != nil {
                board.unwritten[change.lease] = change
            }
        }
    }
}
