/// Gives leases away, in order.
extension Hub {
    /// Gives a lease to the replica that wants it, in order: what was received is stored and acked, the connection ends,
    /// and only then the other one begins. Open windows are the other's: they stand in the database.
    func handOver(_ lease: Lease) async {
        guard let leaving = owned[lease.installation], leaving.lease == lease, !isStopping else { return }
        await leaving.end(parts.dispatcher)
        // It may have been lost meanwhile.
        guard !isStopping, owned[lease.installation]?.lease == lease else { return }
        do {
            // Before we forget it: our own scan would take it again.
            let isReleased = try await parts.repository.releaseLease(lease, holder: identity.name)
            parts.outages.succeeded("release_lease")
            guard forget(lease) != nil else { return }
            if isReleased { parts.logger.log(.leaseHandedOver(lease, appID: leaving.appID)) }
        } catch {
            // Still ours in the database: the next scan takes it again.
            _ = forget(lease)
            parts.outages.failed("release_lease", error)
            scanNow.ring()
        }
    }
}
