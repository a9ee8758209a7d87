import AsyncRuntime
import Foundation
import Store

/// What was taken from the outbox and is not settled yet; each app has its share of it.
final class RowsUnderWay: Sendable {
    private struct State {
        var ids: Set<UUID> = []
        var shares: FairShares<InstallationID>
    }

    private let state: Mutex<State>

    init(most: Int) {
        state = Mutex(State(shares: FairShares(total: most)))
    }

    var ids: [UUID] { state.withLock { Array($0.ids) } }

    /// How many rows to claim next, and of which installations none (these and `held`), so that no app gets more than
    /// its share. A limit of 0: claim nothing.
    func plan(_ held: SendPacer.Held) -> (limit: Int, held: [InstallationID]) {
        state.withLock { state in
            guard state.shares.free > 0 else { return (0, []) }
            // Half of what somebody may have who has nothing yet: who has some already gets more in time, too.
            let limit = max(1, (state.shares.free + 1) / 4)
            let full = state.shares.holders.filter { app in
                held.probing.contains(app) || state.shares.room(for: app) < limit
            }
            return (limit, held.installations + full)
        }
    }

    /// - Returns: false when the row is under way already (it was claimed again while it is being sent), or when its
    /// app
    ///   may send only one at a time, and does so.
    func begin(_ row: OutboxRow, _ held: SendPacer.Held) -> Bool {
        let app = row.lease.installation
        return state.withLock { state in
            if held.probing.contains(app), state.shares.held(by: app) > 0 { return false }
            guard state.ids.insert(row.id).inserted else { return false }
            state.shares.take(app)
            return true
        }
    }

    func end(_ row: OutboxRow) {
        state.withLock { state in
            guard state.ids.remove(row.id) != nil else { return }
            state.shares.giveBack(row.lease.installation)
        }
    }
}
