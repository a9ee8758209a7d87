import AsyncRuntime
import Foundation
import Lark
import Store

/// Fetches what stood in a group before a message that opened a window, while that window is open. The message itself
/// is stored and acked long before; what is slow or refused is left out, and not asked for again.
final class ContextFetcher: Sendable {
    private let repository: Repository
    private let apps: AppDirectory
    private let logger: Logger
    private let refused = RefusedApps()
    private let tasks = TaskSet()
    /// What comes while its app has half of this goes without, or while it has as many as are free.
    private let underWay = Mutex(FairShares<InstallationID>(total: 64))

    private static let patience: Duration = .seconds(2)

    init(repository: Repository, apps: AppDirectory, logger: Logger) {
        self.repository = repository
        self.apps = apps
        self.logger = logger
    }

    /// Returns at once.
    func windowOpened(by row: IngestRow, in session: SessionKey, at position: Int64) {
        guard row.message.chatType == .group, let app = apps.client(of: session.installation),
            !refused.contains(session.installation), begin(session.installation)
        else { return }
        tasks.begin { [self] in
            await fetch(row, app, session, position)
            underWay.withLock { $0.giveBack(session.installation) }
        }
    }

    /// Ends what is under way, and begins no more.
    func end() async {
        await tasks.end()
    }

    private func begin(_ installation: InstallationID) -> Bool {
        underWay.withLock { underWay in
            guard underWay.mayTake(installation) else { return false }
            underWay.take(installation)
            return true
        }
    }

    private func fetch(_ row: IngestRow, _ app: OpenAPIClient, _ session: SessionKey, _ position: Int64) async {
        do {
            let listed = try await app.messages(
                in: row.message.chatID, thread: row.message.threadID, until: row.message.sentAtMilliseconds,
                within: Self.patience)
            // On a thread of its own: what is listed may have megabytes, for each window that opens.
            let people = await BlockingCall.run { GroupContext.people(listed, before: row.message) }
            let rules = try await repository.contextRules(of: session.installation, people: people)
            let context = await BlockingCall.run {
                let lines = GroupContext.select(listed, before: row.message, rules)
                return lines.isEmpty ? nil : GroupContext.json(lines)
            }
            guard let context else { return }
            try await repository.put(context, of: session, at: position, under: row.lease)
        } catch {
            guard !Task.isCancelled else { return }
            if let error = error as? OpenAPIError, error.isMissingPermission {
                refused.insert(session.installation)
                logger.log(.contextFailed(session, error, isRefused: true))
            } else {
                logger.log(.contextFailed(session, error, isRefused: false))
            }
        }
    }
}
