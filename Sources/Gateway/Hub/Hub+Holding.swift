import AsyncRuntime

/// Renews leases, and acts on what has become of them.
extension Hub {
    /// Until the task is cancelled.
    func keepRenewing() async {
        // Counted from before the request, so that we stop before anybody else may begin.
        var trustedUntil = ContinuousClock.now + timing.ttl
        var renewAt = ContinuousClock.now + timing.renewEvery
        while !Task.isCancelled {
            await checkNow.wait(atMost: ContinuousClock.now.duration(to: renewAt))
            try? await Task.sleep(for: Self.settling)
            guard !Task.isCancelled else { return }
            let asked = ContinuousClock.now
            // What is acquired while we ask is not in the answer.
            let believed = owned.values.map(\.lease)
            guard asked >= renewAt else {
                // The next renewal finds out, where this fails.
                if let held = try? await parts.repository.checkLeases(holder: identity.name) {
                    reconcile(believed, held)
                }
                continue
            }
            do {
                let held = try await parts.repository.holdLeases(
                    holder: identity.name, ttl: timing.ttl,
                    // An answer that comes after the lease could have ended is of no use.
                    within: min(.seconds(10), max(.milliseconds(100), asked.duration(to: trustedUntil))))
                trustedUntil = asked + timing.ttl
                renewAt = asked + timing.renewEvery
                parts.outages.succeeded("renew_leases")
                reconcile(believed, held)
            } catch {
                parts.outages.failed("renew_leases", error)
                renewAt = .now + min(.seconds(1), timing.renewEvery)
                // One renewal's time is the margin.
                guard ContinuousClock.now + timing.renewEvery > trustedUntil else { continue }
                for lease in owned.values.map(\.lease) {
                    lose(lease, reason: "it could not be renewed in time")
                }
            }
        }
    }

    /// What the database says that we hold is what we go on with.
    private func reconcile(_ believed: [Lease], _ held: [HeldLease]) {
        let leases = Set(held.map(\.lease))
        for lease in believed where !leases.contains(lease) {
            lose(lease, reason: "another replica holds it, or it was revoked")
        }
        guard !isStopping else { return }
        let changed = held.filter { held in
            owned[held.lease.installation].map { $0.revision != held.revision && !$0.isLeaving } ?? false
        }
        if !changed.isEmpty { Task { await reload(changed.map(\.lease.installation)) } }
        for wanted in held where wanted.isWanted && owned[wanted.lease.installation]?.isLeaving == false {
            owned[wanted.lease.installation]?.isLeaving = true
            let turn = ConcurrencyLimit.Caller(place: "\(wanted.lease.installation.rawValue)", app: "")
            Task { try? await handovers.run(for: turn) { await self.handOver(wanted.lease) } }
        }
    }

    /// Ends the connection; nothing more is acked or written under this lease.
    func lose(_ lease: Lease, reason: String) {
        guard let loser = forget(lease) else { return }
        loser.task?.cancel()
        parts.logger.log(.leaseLost(lease, appID: loser.appID, reason: reason))
        scanNow.ring()
    }
}
