import AsyncRuntime
import Store

/// Closes windows: one statement turns all that are due into queued tasks, or into notices where no run can happen.
package struct TaskEnqueuer: Sendable {
    let repository: Repository
    let leases: LeaseTable
    let outboxHasWork: Doorbell
    let logger: Logger
    let metrics: Metrics
    /// A flush that takes longer is given up and tried again.
    var patience: Duration = .seconds(10)

    /// - Throws: `PostgresError`; then nothing was done.
    func flush(_ keys: [SessionKey], force: Bool) async throws -> [SessionKey: FlushOutcome] {
        // What we own no longer is somebody else's to flush.
        let windows = keys.compactMap { key in leases.lease(of: key.installation).map { (key, $0) } }
        guard !windows.isEmpty else { return [:] }
        let outcomes = try await repository.flush(windows, force: force, deadline: .after(patience))
        for (key, outcome) in outcomes {
            logger.log(.windowClosed(key, outcome))
            metrics.add(to: .windowsClosed, outcome.name)
            if outcome == .agentOffline || outcome == .agentArchived { outboxHasWork.ring() }
        }
        return outcomes
    }
}
