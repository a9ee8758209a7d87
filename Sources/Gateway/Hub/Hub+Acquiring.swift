import AsyncRuntime
import Store

/// Acquires leases.
extension Hub {
    /// Until the task is cancelled.
    func keepScanning() async {
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(1))
        while !Task.isCancelled {
            var wait = timing.scanEvery * Double.random(in: 0.8...1.2)
            do {
                try await scan()
                parts.outages.succeeded("take_leases")
                backoff.reset()
            } catch {
                parts.outages.failed("take_leases", error)
                wait = max(backoff.next(), .milliseconds(200))
            }
            await scanNow.wait(atMost: wait)
            try? await Task.sleep(for: Self.settling)
        }
    }

    /// Takes what is free, reads its open windows back, and connects it.
    private func scan() async throws {
        guard let search else { return }
        let holders = try await parts.repository.leaseHolders()
        let acquired = try await parts.repository.takeLeases(
            holder: identity.name, deadHolders: holders.filter { identity.knowsDead($0) }, appIDs: search.appIDs,
            keyIDs: search.keyIDs, used: search.used, ttl: timing.ttl, grace: timing.grace)
        if !acquired.isEmpty {
            receive(.acquired(acquired))
            try await restoreWindows(of: acquired.map(\.lease))
            parts.acquired()
            await bindToDomains(acquired)
        }
        receive(.scanned(configured: search.appIDs))
        let locked = try await parts.repository.noteLockedSecrets(keyIDs: search.keyIDs)
        receive(.secretsLocked(Dictionary(locked.map { ($0.appID, $0.keyID) }, uniquingKeysWith: { $1 })))
    }

    private func restoreWindows(of leases: [Lease]) async throws {
        do {
            let windows = try await parts.repository.loadWindows(of: leases.map(\.installation))
            // Some may have been lost meanwhile.
            let held = Set(leases.filter { holds($0) }.map(\.installation))
            for window in windows where held.contains(window.session.installation) {
                parts.batcher.restore(window.session, openFor: window.openFor, dueIn: window.dueIn)
            }
            if !windows.isEmpty { parts.logger.log(.windowsRestored(windows.count)) }
            receive(.windowsRestored(leases))
        } catch {
            receive(.windowsNotRestored(leases))
            throw error
        }
    }
}
