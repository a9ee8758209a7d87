import AsyncRuntime

/// Renews leases, and looks at what has become of them.
extension Hub {
    /// Until the task is cancelled.
    func keepRenewing() async {
        var trust = LeaseTrust(timing, now: .now)
        while !Task.isCancelled {
            await checkNow.wait(atMost: ContinuousClock.now.duration(to: trust.renewAt))
            try? await Task.sleep(for: Self.settling)
            guard !Task.isCancelled else { return }
            let asked = ContinuousClock.now
            // What is acquired while we ask is not in the answer.
            let believed = leases
            guard asked >= trust.renewAt else {
                // The next renewal finds out, where this fails.
                if let held = try? await parts.repository.checkLeases(holder: identity.name) {
                    receive(.held(held, believed: believed))
                }
                continue
            }
            do {
                let held = try await parts.repository.holdLeases(
                    holder: identity.name, ttl: timing.ttl, within: trust.timeout(asked))
                trust.renewed(asked: asked)
                parts.outages.succeeded("renew_leases")
                receive(.held(held, believed: believed))
            } catch {
                parts.outages.failed("renew_leases", error)
                if trust.renewalFailed(.now) { receive(.notRenewedInTime) }
            }
        }
    }
}
