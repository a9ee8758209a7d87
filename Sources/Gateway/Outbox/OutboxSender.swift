import AsyncRuntime
import Postgres
import Store

/// Sends what stands in the outbox: in order per receiver, side by side across receivers, at least once, with the row's
/// id as Lark's idempotency uuid.
struct OutboxSender: Sendable {
    let repository: Repository
    let messenger: Messenger
    let pacer: SendPacer
    let holder: String
    let hasWork: Doorbell
    let outages: OutageLog
    let logger: Logger
    let metrics: Metrics
    /// A row that was claimed and not settled can be claimed again after this.
    var visibility: Duration = .seconds(60)

    /// One app alone has half of it.
    private static let maxUnderWay = 64
    private static let pollEvery: Duration = .seconds(1)
    /// To record a send, once we are told to stop.
    private static let lastAttempts = 3

    /// Until the task is cancelled. Sends under way are finished first.
    func run() async {
        let stopping = AsyncEvent()
        await withTaskCancellationHandler {
            await takeAndSend(stopping)
        } onCancel: {
            stopping.set()
        }
    }

    private func takeAndSend(_ stopping: AsyncEvent) async {
        let underWay = RowsUnderWay(most: Self.maxUnderWay)
        // Whether rows may be taken that are not under way: Postgres took them for us, and its answer got lost, or
        // their app may send one at a time only.
        var isUnsure = false
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                let held = pacer.held()
                let plan = underWay.plan(held)
                var rows: [OutboxRow] = []
                do {
                    if isUnsure { try await repository.returnOutbox(holder: holder, except: underWay.ids) }
                    isUnsure = plan.limit > 0
                    if plan.limit > 0 {
                        rows = try await repository.takeOutbox(
                            holder: holder, limit: plan.limit, visibility: visibility, held: plan.held)
                        outages.succeeded("take_outbox")
                        isUnsure = false
                    }
                } catch {
                    guard !Task.isCancelled else { break }
                    outages.failed("take_outbox", error)
                    await hasWork.wait(atMost: Self.pollEvery)
                    continue
                }
                for row in rows {
                    guard underWay.begin(row, held) else {
                        isUnsure = true
                        continue
                    }
                    group.addTask {
                        // Not cancelled with us: a send that is under way is finished and recorded.
                        await Task.detached { await self.send(row, stopping) }.value
                        underWay.end(row)
                        hasWork.ring()
                    }
                }
                if rows.isEmpty { await hasWork.wait(atMost: min(held.wait ?? Self.pollEvery, Self.pollEvery)) }
            }
        }
    }

    private func send(_ row: OutboxRow, _ stopping: AsyncEvent) async {
        let began = ContinuousClock.now
        let comesAgain = Deadline.after(visibility)
        guard let settlement = try? await messenger.send(row) else { return }
        switch settlement {
        case .sent(let id):
            logger.log(.outboxSent(row, larkMessageID: id, took: began.duration(to: .now)))
            metrics.add(to: .outbox, "sent")
        case .retry(let wait, let error):
            logger.log(.outboxRetried(row, error: error, retryIn: wait))
            metrics.add(to: .outbox, "retried")
        case .returned:
            metrics.add(to: .outbox, "returned")
        case .dead(let error, _):
            logger.log(.outboxDied(row, error: error, isRepeated: await isRepeated(row)))
            metrics.add(to: .outbox, "dead")
        }
        await record(settlement, of: row, stopping, until: comesAgain)
    }

    /// Whether a person can't be written to, and a line of the log said so today: who writes to the bot again and again
    /// must not fill the log.
    private func isRepeated(_ row: OutboxRow) async -> Bool {
        guard row.kind == OutboxRow.Kind.prompt.rawValue else { return false }
        return (try? await repository.countDeadPrompts(like: row)).map { $0 > 0 } ?? false
    }

    /// Tries until the row can be claimed again, and at least once: a send may have taken longer than that. Until it is
    /// recorded, everything for its receiver waits behind it.
    private func record(
        _ settlement: Repository.Settlement, of row: OutboxRow, _ stopping: AsyncEvent, until comesAgain: Deadline
    ) async {
        var backoff = Backoff(initial: .milliseconds(200), maximum: .seconds(1))
        var attemptsLeft = Self.lastAttempts
        repeat {
            do {
                try await repository.settle(row, settlement)
                return outages.succeeded("settle_outbox")
            } catch {
                outages.failed("settle_outbox", error)
                if stopping.isSet { attemptsLeft -= 1 }
                try? await Task.sleep(for: max(backoff.next(), .milliseconds(100)))
            }
        } while attemptsLeft > 0 && !comesAgain.hasPassed
    }
}
