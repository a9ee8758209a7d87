/// Gives connections new credentials while they run.
extension Hub {
    /// Secrets and keys have changed, perhaps: connections whose credentials did are made again.
    func update(_ new: CredentialSource) async {
        let old = source
        source = new
        let changed = owned.values.filter {
            old.configured[$0.appID] != new.configured[$0.appID] || $0.supervisor == nil
        }
        await reload(changed.map(\.lease.installation))
        lookNow()
    }

    /// Makes connections again whose credentials are not those in use any more; the others go on.
    func reload(_ installations: [InstallationID]) async {
        guard !installations.isEmpty else { return }
        do {
            let rows = try await parts.repository.loadInstallations(installations)
            parts.outages.succeeded("load_installations")
            await withDiscardingTaskGroup { group in
                for row in rows { group.addTask { await self.renewCredentials(row) } }
            }
        } catch {
            // The next look tries again.
            for installation in installations { owned[installation]?.revision = -1 }
            parts.outages.failed("load_installations", error)
        }
    }

    private func renewCredentials(_ row: InstallationRow) async {
        guard let known = owned[row.lease.installation], known.lease == row.lease, !known.isLeaving else { return }
        if let used = known.supervisor?.credentials, let credentials = try? source.credentials(of: row),
            used == credentials
        {
            owned[row.lease.installation]?.revision = row.revision
            return
        }
        owned[row.lease.installation]?.isLeaving = true
        await known.end(parts.dispatcher)
        // It may have been lost meanwhile.
        guard owned[row.lease.installation]?.lease == row.lease else { return }
        parts.logger.log(.credentialsChanged(appID: row.appID))
        connect(row)
    }
}
