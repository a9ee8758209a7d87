import AsyncRuntime
import Foundation
import Store

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
    private static let measureEvery: Duration = .seconds(10)
    /// Percent. In honest use it is empty within a moment.
    private static let queueIsFilling = 5
    private static let retryAfter: Duration = .seconds(5)
    private static let sweepAgainAfter: Duration = .seconds(1)

    /// Until the task is cancelled. Pruning may take long, and holds up no sweep.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await sweepRegularly() }
            group.addTask { await pruneRegularly() }
            group.addTask { await measureRegularly() }
        }
    }

    private func sweepRegularly() async {
        while !Task.isCancelled {
            await lookNow.wait(atMost: .seconds(2))
            guard !Task.isCancelled else { return }
            metrics.set(.openWindows, to: batcher.openWindows)
            do {
                try await sweep()
                outages.succeeded("housekeeping")
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("housekeeping", error)
                try? await Task.sleep(for: Self.sweepAgainAfter)
            }
        }
    }

    /// At the start too: a gateway that is restarted every day must not keep everything.
    private func pruneRegularly() async {
        while !Task.isCancelled {
            do {
                let pruned = try await repository.prune(Retention())
                outages.succeeded("prune")
                if pruned > 0 { logger.log(.rowsPruned(pruned)) }
                try await Task.sleep(for: Self.pruneEvery)
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("prune", error)
                try? await Task.sleep(for: Self.retryAfter)
            }
        }
    }

    /// For the metrics.
    private func measureRegularly() async {
        while !Task.isCancelled {
            do {
                let depth = try await repository.measureOutbox(of: leases.installations)
                metrics.set(.outboxWaiting, to: depth.waiting)
                metrics.set(.outboxOldest, to: Int(depth.oldest.seconds))
                metrics.set(.outboxDead, to: depth.dead)
                outages.succeeded("measure_outbox")
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("measure_outbox", error)
            }
            await relieveNotifications()
            try? await Task.sleep(for: Self.measureEvery)
        }
    }

    /// Filled by who may, Postgres's queue of 8 GB is full in some 50 s.
    private func relieveNotifications() async {
        do {
            if let ended = try await repository.relieveNotifications(abovePercent: Self.queueIsFilling) {
                logger.log(.notificationsRelieved(sessions: ended))
            }
            outages.succeeded("relieve_notifications")
        } catch {
            guard !Task.isCancelled else { return }
            outages.failed("relieve_notifications", error)
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
