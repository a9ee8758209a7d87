import AsyncRuntime
import Lark
import Store

/// Shows what runs say of themselves while they work: one card for each, changed in place at most once a second. What
/// goes wrong here is logged, and changes nothing else.
struct ProgressCards: Sendable {
    let repository: Repository
    let apps: AppDirectory
    let pacer: SendPacer
    let holder: String
    /// Rung when a run has said something.
    let hasWork: Doorbell
    let outages: OutageLog
    let logger: Logger

    private static let atOnce = 16
    private static let pollEvery: Duration = .milliseconds(500)
    /// While nobody says anything: what was said to a replica that is gone.
    private static let restEvery: Duration = .seconds(30)
    private static let mostAttempts = 5

    /// Until the task is cancelled.
    func run() async {
        /// For so many looks more something may be to be shown that had to wait.
        var looks = 0
        while !Task.isCancelled {
            do {
                let rows = try await repository.takeProgress(holder: holder, limit: Self.atOnce)
                outages.succeeded("take_progress")
                await withDiscardingTaskGroup { group in
                    for row in rows { group.addTask { await self.show(row) } }
                }
                looks = rows.isEmpty ? looks - 1 : 10
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("take_progress", error)
            }
            await hasWork.wait(atMost: looks > 0 ? Self.pollEvery : Self.restEvery)
            looks = max(looks, 1)
        }
    }

    private func show(_ row: ProgressRow) async {
        // Where the platform is silent, others would wait for its time-out. It is due again in a second.
        guard let app = apps.client(of: row.installation), !pacer.isSilent(row.installation) else { return }
        let card = OutboundContent.headedCard(title: row.agent, color: .grey, text: NoticeText.plain(row.text))
        do {
            do {
                if let messageID = row.messageID {
                    try await app.update(messageID, to: card)
                    try await repository.settle(row, messageID: messageID)
                } else {
                    try await pacer.pace(row.installation, to: row.chatID)
                    let id = try await app.send(card, to: row.receiver, uuid: "progress-\(row.taskID)", for: .companion)
                    try await repository.settle(row, messageID: id)
                }
            } catch let error as OpenAPIError {
                logger.log(.progressFailed(row, error))
                var wait: Duration?
                if case .retry(let after) = error.remedy, row.attempts < Self.mostAttempts {
                    wait = max(after ?? .zero, .seconds(2))
                }
                try await repository.postpone(row, for: wait)
            }
            outages.succeeded("settle_progress")
        } catch is SendPacer.HeldBack {
            // It is due again in a second.
        } catch {
            outages.failed("settle_progress", error)
        }
    }
}
