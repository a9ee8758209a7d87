import AsyncRuntime
import Foundation
import Lark

/// Fetches what stood in a group before a message that opened a window, while that window is open. The message itself is
/// stored and acked long before; what is slow or refused is left out, and not asked for again.
final class ContextFetcher: Sendable {
    private let repository: Repository
    private let apps: @Sendable (InstallationID) -> OpenAPIClient?
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var underWay = 0
        /// Apps that may not read: not asked again until then.
        var refused: [InstallationID: ContinuousClock.Instant] = [:]
    }

    /// What comes while so many are under way goes without.
    private static let atOnce = 32
    private static let patience: Duration = .seconds(2)
    private static let refusalLasts: Duration = .seconds(600)

    init(repository: Repository, apps: @escaping @Sendable (InstallationID) -> OpenAPIClient?, logger: Logger) {
        self.repository = repository
        self.apps = apps
        self.logger = logger
    }

    /// Returns at once.
    func windowOpened(by row: IngestRow, in session: SessionKey, at position: Int64) {
        guard row.message.chatType == .group, let app = apps(session.installation) else { return }
        let mayBegin = state.withLock { state in
            if let until = state.refused[session.installation] {
                guard until <= .now else { return false }
                state.refused[session.installation] = nil
            }
            guard state.underWay < Self.atOnce else { return false }
            state.underWay += 1
            return true
        }
        guard mayBegin else { return }
        Task {
            await fetch(row, app, session, position)
            state.withLock { $0.underWay -= 1 }
        }
    }

    private func fetch(_ row: IngestRow, _ app: OpenAPIClient, _ session: SessionKey, _ position: Int64) async {
        do {
            let listed = try await app.messages(
                in: row.message.chatID, thread: row.message.threadID, until: row.message.sentAtMilliseconds,
                within: Self.patience)
            let context = GroupContext.select(listed, before: row.message)
            guard !context.isEmpty else { return }
            try await repository.put(GroupContext.json(context), of: session, at: position, under: row.lease)
        } catch {
            if let error = error as? OpenAPIError, error.isMissingPermission {
                state.withLock { $0.refused[session.installation] = .now + Self.refusalLasts }
                logger.log(.contextFailed(session, error, isRefused: true))
            } else {
                logger.log(.contextFailed(session, error, isRefused: false))
            }
        }
    }
}
