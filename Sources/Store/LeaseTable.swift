import AsyncRuntime

/// Which installations this replica owns now, for everybody who writes on their behalf.
package final class LeaseTable: Sendable {
    private let leases = Mutex([InstallationID: Lease]())

    package init() {}

    package func lease(of installation: InstallationID) -> Lease? {
        leases.withLock { $0[installation] }
    }

    package var installations: [InstallationID] { leases.withLock { Array($0.keys) } }

    package func insert(_ lease: Lease) {
        leases.withLock { $0[lease.installation] = lease }
    }

    package func remove(_ lease: Lease) {
        leases.withLock { if $0[lease.installation] == lease { $0[lease.installation] = nil } }
    }
}
