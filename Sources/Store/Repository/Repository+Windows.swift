import AsyncRuntime
import Postgres

/// What became of a closed window, as `gateway.flush_windows` decides it.
package enum FlushOutcome: Sendable, Equatable {
    /// `taskID` is nil where a queued task covered the messages already.
    case queued(taskID: Int64?)
    case agentOffline
    case agentArchived
    case empty
    /// Extended meanwhile, by this much.
    case notDue(Duration)
    /// Somebody holds the session's row: the window stays, and is to be closed a little later.
    case busy
    case fenced
    /// The window was not there any more.
    case gone

    /// As `gateway.flush_windows` writes it, and in the metric's label. `gone` is what it has no row for. Where the
    /// agent can't run it is the notice's name as well.
    package enum Name: String, CaseIterable, Sendable {
        case queued
        case agentOffline = "agent_offline"
        case agentArchived = "agent_archived"
        case empty
        case notDue = "not_due"
        case busy, fenced, gone
    }

    package var kind: Name {
        switch self {
        case .queued: .queued
        case .agentOffline: .agentOffline
        case .agentArchived: .agentArchived
        case .empty: .empty
        case .notDue: .notDue
        case .busy: .busy
        case .fenced: .fenced
        case .gone: .gone
        }
    }

    package var name: String { kind.rawValue }
}

/// An open window, as it is read back after a start or a takeover.
package struct StoredWindow: Sendable {
    package let session: SessionKey
    package let openFor: Duration
    package let dueIn: Duration
}

extension Repository {
    /// Closes windows in one transaction. `leases` gives the lease of each window's installation.
    package func flush(
        _ windows: [(SessionKey, Lease)], force: Bool, deadline: Deadline
    ) async throws -> [SessionKey: FlushOutcome] {
        let batching = batching
        let rows = try await pool.query(
            SQL.flushWindows,
            [
                .intArray(windows.map(\.0.installation.rawValue)), .intArray(windows.map(\.1.generation)),
                .intArray(windows.map(\.0.session)), .bool(force), .interval(batching.silenceWindow),
                .interval(batching.maxWait),
            ], deadline: deadline)
        var outcomes = Dictionary(windows.map { ($0.0, FlushOutcome.gone) }, uniquingKeysWith: { $1 })
        let keys = Dictionary(windows.map { ($0.0.session, $0.0) }, uniquingKeysWith: { $1 })
        for row in rows {
            guard let key = keys[try row.value("session_id")] else { continue }
            let word: String = try row.value("outcome")
            outcomes[key] =
                switch FlushOutcome.Name(rawValue: word) {
                case .queued: .queued(taskID: try row.optional("task_id"))
                case .agentOffline: .agentOffline
                case .agentArchived: .agentArchived
                case .empty: .empty
                case .notDue: .notDue(.milliseconds(try row.value("remaining_ms", as: Int64.self)))
                case .busy: .busy
                case .fenced: .fenced
                case .gone: .gone
                case nil: throw PostgresError.unexpectedResult("flush_windows: outcome \(word)")
                }
        }
        return outcomes
    }

    package func loadWindows(of installations: [InstallationID], overdueOnly: Bool = false) async throws
        -> [StoredWindow]
    {
        let batching = batching
        return try await run(
            overdueOnly ? SQL.loadOverdueWindows : SQL.loadWindows,
            [
                .intArray(installations.map(\.rawValue)), .interval(batching.silenceWindow),
                .interval(batching.maxWait),
            ]
        ).map { row in
            StoredWindow(
                session: SessionKey(
                    installation: InstallationID(rawValue: try row.value("installation_id")),
                    session: try row.value("session_id")),
                openFor: .milliseconds(try row.value("open_for_ms", as: Int64.self)),
                dueIn: .milliseconds(try row.value("due_in_ms", as: Int64.self)))
        }
    }
}
