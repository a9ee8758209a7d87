import AsyncRuntime

/// Takes leases.
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
        guard !isStopping else { return }
        let apps = Array(source.configured.keys)
        let holders = try await parts.repository.leaseHolders()
        let acquired = try await parts.repository.takeLeases(
            holder: identity.name, deadHolders: holders.filter(identity.knowsDead), appIDs: apps,
            keyIDs: source.keys.ids, used: Array(owned.keys), ttl: timing.ttl, grace: timing.grace)
        for installation in acquired {
            parts.leases.insert(installation.lease)
            parts.logger.log(.leaseAcquired(installation.lease, appID: installation.appID))
        }
        if !acquired.isEmpty {
            let windows = try await parts.repository.loadWindows(of: acquired.map(\.lease.installation))
            for window in windows {
                parts.batcher.restore(window.session, openFor: window.openFor, dueIn: window.dueIn)
            }
            if !windows.isEmpty { parts.logger.log(.windowsRestored(windows.count)) }
        }
        for installation in acquired { connect(installation) }
        if !acquired.isEmpty { parts.acquired() }
        let mine = Set(owned.values.map(\.appID))
        let elsewhere = apps.filter { !mine.contains($0) }.sorted()
        if elsewhere != lastHeldElsewhere, !elsewhere.isEmpty {
            parts.logger.log(.leaseHeldElsewhere(appIDs: elsewhere))
        }
        lastHeldElsewhere = elsewhere
        try await lookForLockedSecrets(apps)
    }

    /// Says once which installations nobody with our keys can connect.
    private func lookForLockedSecrets(_ apps: [String]) async throws {
        let locked = Dictionary(
            try await parts.repository.lockedSecrets(appIDs: apps, keyIDs: source.keys.ids)
                .map { ($0.appID, $0.keyID) }, uniquingKeysWith: { $1 })
        for (app, key) in locked.sorted(by: { $0.key < $1.key }) where lastLocked[app] != key {
            parts.logger.log(.secretLocked(appID: app, reason: "\(CredentialsMissing(keyID: key))"))
        }
        lastLocked = locked
    }
}
