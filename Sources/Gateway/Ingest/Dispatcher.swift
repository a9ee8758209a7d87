import AsyncRuntime
import Lark
import Postgres
import Store

/// Takes decoded messages in, has each one's fate committed exactly once and in order, and acks it then.
///
/// While one statement of a lane is in flight, whatever arrives waits, and goes out together in the next. A chat always
/// has the same lane, so its order holds.
package actor Dispatcher {
    /// Sends the ack; not called for a message that this replica has no right to answer any more.
    package typealias Acknowledge = @Sendable (AckCode) async -> Void
    /// Decides a batch in one transaction; see `Repository.ingest`.
    package typealias Store = @Sendable ([IngestRow], _ skipsBusy: Bool, Deadline) async throws -> [IngestResult]

    package struct Limits: Sendable {
        package var lanes = 4
        /// What may wait, over all lanes; beyond it, and beyond the shares of an app and a chat, acks are 500.
        package var maxWaiting = 20_000
        package var maxWaitingBytes = 64 << 20
        /// The platform gives us 3 s.
        package var statementTimeout: Duration = .milliseconds(2_500)

        package init() {}
    }

    private let store: Store
    private let batcher: RunBatcher
    private let limits: Limits
    private let outboxHasWork: Doorbell
    private let windowOpened: @Sendable (IngestRow, SessionKey, _ position: Int64) -> Void
    private let fenced: @Sendable (Lease) -> Void
    private let logger: Logger
    private let metrics: Metrics
    private var lanes: [DispatcherLane]
    /// What the lanes hold.
    private var shares: WaitingShares
    private var isOverloaded = false
    /// Messages acked 500 since the database failed.
    private var failures = 0
    private var answers = 0
    private var drains: [(arrived: [Int], continuation: CheckedContinuation<Void, Never>)] = []

    /// - Parameter fenced: told when the database says that this replica owns an installation no longer.
    package init(
        batcher: RunBatcher, limits: Limits = Limits(), outboxHasWork: Doorbell, logger: Logger, metrics: Metrics,
        windowOpened: @escaping @Sendable (IngestRow, SessionKey, _ position: Int64) -> Void = { _, _, _ in },
        fenced: @escaping @Sendable (Lease) -> Void = { _ in },
        store: @escaping Store
    ) {
        self.store = store
        self.batcher = batcher
        self.limits = limits
        self.outboxHasWork = outboxHasWork
        self.windowOpened = windowOpened
        self.fenced = fenced
        self.logger = logger
        self.metrics = metrics
        lanes = Array(repeating: DispatcherLane(), count: max(1, limits.lanes))
        shares = WaitingShares(count: limits.maxWaiting, bytes: limits.maxWaitingBytes)
    }

    /// Puts a message behind those of its chat that came before; returns at once.
    /// - Parameter receiptBytes: what `acknowledge` holds in memory until it is called; it counts for the bound.
    package func receive(
        _ message: InboundMessage, under lease: Lease, receiptBytes: Int = 0, acknowledge: @escaping Acknowledge
    ) async {
        let row = IngestRow(lease: lease, message: message, receiptBytes: receiptBytes)
        logger.logDebug(.messageReceived(row))
        if let bound = shares.refusal(of: row) {
            // Once per overload, not once per message.
            if !isOverloaded {
                logger.log(.ingestOverloaded(row, bound, waiting: shares.count, bytes: shares.bytes))
            }
            isOverloaded = true
            metrics.add(to: .ingestFailures)
            metrics.add(to: .acks, "500")
            return await acknowledge(.failed)
        }
        let index = Self.lane(of: message, under: lease, count: lanes.count)
        lanes[index].append(DispatcherLane.Item(row: row, acknowledge: acknowledge))
        shares.add(row)
        metrics.set(.ingestWaiting, to: shares.count)
        guard !lanes[index].isRunning else { return }
        lanes[index].isRunning = true
        Task { await self.run(index) }
    }

    /// Returns when the actor had a turn: what it writes keeps the compiler from leaving the turn out.
    func answer() {
        answers &+= 1
    }

    /// Returns when everything that came before is decided and acked, whatever comes meanwhile.
    package func drain() async {
        let arrived = lanes.map(\.arrived)
        guard !isSettled(arrived) else { return }
        await withCheckedContinuation { drains.append((arrived, $0)) }
    }

    private func isSettled(_ arrived: [Int]) -> Bool {
        zip(lanes, arrived).allSatisfy { $0.settled >= $1 }
    }

    private static func lane(of message: InboundMessage, under lease: Lease, count: Int) -> Int {
        var hasher = Hasher()
        hasher.combine(lease.installation)
        hasher.combine(message.chatID)
        return Int(UInt(bitPattern: hasher.finalize()) % UInt(count))
    }

    private func run(_ index: Int) async {
        while lanes[index].count > 0 {
            let batch = lanes[index].takeBatch()
            for item in batch { shares.remove(item.row) }
            let began = ContinuousClock.now
            let outcomes = await decide(batch.map(\.row), deadline: .after(limits.statementTimeout))
            await settle(batch, outcomes, took: began.duration(to: .now))
            lanes[index].settled += batch.count
            for drain in drains where isSettled(drain.arrived) { drain.continuation.resume() }
            drains.removeAll { isSettled($0.arrived) }
        }
        lanes[index].isRunning = false
        metrics.set(.ingestWaiting, to: shares.count)
        // Well below every bound, so that an overload that goes on is not said again and again.
        if shares.count <= limits.maxWaiting / 8 { isOverloaded = false }
    }

    private func settle(_ batch: [DispatcherLane.Item], _ outcomes: [Decision], took: Duration) async {
        let errors = outcomes.compactMap { if case .failed(let error) = $0 { error } else { nil } }
        if let error = errors.first {
            // Once per outage: what failed comes again, and fails again.
            if failures == 0 { logger.log(.ingestFailed(messages: errors.count, error)) }
            failures += errors.count
        } else if failures > 0 {
            logger.log(.ingestRecovered(failures: failures))
            failures = 0
        }
        for (item, outcome) in zip(batch, outcomes) {
            switch outcome {
            case .failed:
                metrics.add(to: .ingestFailures)
                metrics.add(to: .acks, "500")
                await item.acknowledge(.failed)
            case .decided(let row, let result):
                logger.log(.messageDecided(row, result, batch: batch.count, took: took))
                metrics.add(to: .messages, result.verdict.rawValue)
                guard result.verdict != .fenced else {
                    fenced(row.lease)
                    continue
                }
                if let session = result.session, result.hasOpenWindow {
                    if await batcher.messageStored(in: session) { windowOpened(row, session, result.position ?? 0) }
                }
                let isAnswered = result.verdict == .ingested && row.command != nil
                if isAnswered || result.verdict == .unboundUser || result.verdict == .nonWorkspaceMember {
                    outboxHasWork.ring()
                }
                metrics.add(to: .acks, "200")
                await item.acknowledge(.handled)
            }
        }
    }

    // MARK: Deciding a batch

    private enum Decision {
        case decided(IngestRow, IngestResult)
        /// Nothing of it is in the database, or nobody knows: it must come again.
        case failed(any Error)
    }

    /// One row that will never fit must not fail its neighbours: a batch with a data error is tried again in halves
    /// until the guilty row stands alone, and that one is dropped as invalid.
    private func decide(_ rows: [IngestRow], deadline: Deadline) async -> [Decision] {
        do {
            return zip(rows, try await storeRetrying(rows, deadline)).map { row, result in
                result.verdict == .busy ? .failed(SessionBusy()) : .decided(row, result)
            }
        } catch let error as PostgresError where error.blamesTheRow {
            guard rows.count == 1 else {
                let middle = rows.count / 2
                // One after the other: the order within a chat holds.
                let first = await decide(Array(rows[..<middle]), deadline: deadline)
                return first + (await decide(Array(rows[middle...]), deadline: deadline))
            }
            var row = rows[0]
            guard row.message.fault == nil else { return [.failed(error)] }
            row.message.fault = .invalidEvent
            row.message.faultReason = "\(error)"
            row.message.content = ""
            return await decide([row], deadline: deadline)
        } catch {
            return rows.map { _ in .failed(error) }
        }
    }

    /// Somebody else holds a message's session: what waits with it must not wait for that one, so it goes on without.
    /// Deadlocks and serialization failures (class 40) pass at once; so does a constraint (class 23) that somebody
    /// else's commit in the middle of ours broke, a member that was removed just now for one.
    private func storeRetrying(_ rows: [IngestRow], _ deadline: Deadline) async throws -> [IngestResult] {
        var skipsBusy = false
        for _ in 0..<3 {
            do {
                return try await store(rows, skipsBusy, deadline)
            } catch PostgresError.statement(let error) where error.isLockTimeout {
                skipsBusy = true
            } catch PostgresError.statement(let error)
                where error.sqlState.hasPrefix("40") || error.sqlState.hasPrefix("23")
            {
                continue
            }
        }
        return try await store(rows, skipsBusy, deadline)
    }
}

/// A message that could not be stored because somebody else holds the row of its session.
struct SessionBusy: Error, CustomStringConvertible {
    var description: String {
        "another client holds the chat's row in gateway.chat_session: end its transaction (pg_stat_activity shows it)"
    }
}
