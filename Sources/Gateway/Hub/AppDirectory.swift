import AsyncRuntime
import Lark
import Store

/// The API clients of the installations that this replica has connected, for everybody who calls the platform on their
/// behalf. The hub fills it and empties it.
final class AppDirectory: Sendable {
    private struct Entry {
        let lease: Lease
        let client: OpenAPIClient
    }

    private let entries = Mutex([InstallationID: Entry]())

    /// - Returns: nil: the installation is not connected here.
    func client(of installation: InstallationID) -> OpenAPIClient? {
        entries.withLock { $0[installation]?.client }
    }

    /// Replaces the client that the installation had.
    func insert(_ client: OpenAPIClient, under lease: Lease) {
        entries.withLock { $0[lease.installation] = Entry(lease: lease, client: client) }
    }

    /// The client that a newer lease brought stays.
    func remove(_ lease: Lease) {
        entries.withLock { if $0[lease.installation]?.lease == lease { $0[lease.installation] = nil } }
    }
}
