import AsyncRuntime
import Store

/// Apps that lack the permission for something that is done beside a message: not asked again for a while.
final class RefusedApps: Sendable {
    private let until = Mutex([InstallationID: ContinuousClock.Instant]())

    private static let lasts: Duration = .seconds(600)

    func insert(_ installation: InstallationID) {
        until.withLock { $0[installation] = .now + Self.lasts }
    }

    func contains(_ installation: InstallationID) -> Bool {
        until.withLock { until in
            guard let instant = until[installation] else { return false }
            if instant <= .now { until[installation] = nil }
            return instant > .now
        }
    }
}
