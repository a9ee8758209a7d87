import AsyncRuntime
import Foundation

/// What has to be looked at from time to time: claims that ran out, windows that nobody's timer closed, old dedup and
/// audit rows.
struct Housekeeping: Sendable {
    let repository: Repository
    let leases: LeaseTable
    let batcher: RunBatcher
    let outboxHasWork: Doorbell
    /// Rung when a window may be due that this process has no timer for.
    let lookNow: Doorbell
    let outages: OutageLog
    let logger: Logger
    let metrics: Metrics

    private static let pruneEvery: Duration = .seconds(3600)

    /// Until the task is cancelled.
    func run() async {
        var nextPrune = ContinuousClock.now + Self.pruneEvery
        while !Task.isCancelled {
            await lookNow.wait(atMost: .seconds(2))
            guard !Task.isCancelled else { return }
            metrics.set(.openWindows, to: batcher.openWindows)
            do {
                try await sweep()
                outages.succeeded("housekeeping")
                if nextPrune <= .now {
                    let pruned = try await repository.prune(Retention())
                    if pruned > 0 { logger.log(.rowsPruned(pruned)) }
                    nextPrune = .now + Self.pruneEvery
                }
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("housekeeping", error)
                try? await Task.sleep(for: .seconds(5))
            }
        }
    }

    private func sweep() async throws {
        let expired = try await repository.expireClaims()
        if expired > 0 {
            logger.log(.claimsExpired(expired))
            metrics.add(expired, to: .claimsExpired)
            outboxHasWork.ring()
        }
        // A commit whose answer got lost, an agent that came back: rows without a timer.
        for window in try await repository.loadWindows(of: leases.installations, overdueOnly: true) {
            batcher.restore(window.session, openFor: window.openFor, dueIn: window.dueIn)
        }
    }
}
