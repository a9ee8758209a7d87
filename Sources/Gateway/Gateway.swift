import AsyncRuntime
import HTTPServer
import Lark
import Postgres
import WebSocket

/// The whole gateway, put together: a message's way is LongConnection, Dispatcher, Repository, RunBatcher, TaskEnqueuer,
/// and back out through OutboxSender and Messenger.
package final class Gateway: Sendable {
    private let settings: GatewaySettings
    private let pool: Pool
    private let repository: Repository
    private let identity = ReplicaIdentity.current()
    private let transport: any WebSocketTransport
    private let logger: Logger
    private let metrics: Metrics
    private let outages: OutageLog
    private let pairing: PairingSite
    private let isReady = Mutex(false)
    /// Rung when connections of the pool broke: the one that listens may lead to the same server.
    private let listenAnew = Doorbell()
    /// While it runs, for `reload`.
    private let hub = Mutex<Hub?>(nil)

    package init(
        _ settings: GatewaySettings, transport: (any WebSocketTransport)? = nil, logger: Logger,
        metrics: Metrics = Metrics()
    ) {
        self.settings = settings
        self.transport = transport ?? CurlTransport(network: settings.network)
        self.logger = logger
        self.metrics = metrics
        pool = Pool(
            url: settings.poolerURL ?? settings.databaseURL, size: settings.poolSize,
            preparesStatements: settings.poolerURL == nil, mustWrite: true,
            generationEnded: { [listenAnew] in listenAnew.ring() })
        repository = Repository(pool: pool, batching: settings.batching)
        outages = OutageLog(logger: logger)
        pairing = PairingSite(repository: repository, outages: outages, logger: logger)
    }

    package var replica: String { identity.name }
    package var transportName: String { transport.name }

    /// Set up and not stopping, and the database can be written.
    package func checkReady() async -> Bool {
        guard isReady.withLock({ $0 }) else { return false }
        let rows = try? await pool.query(Writability.statement, deadline: .after(.seconds(2)))
        return rows.flatMap { try? Writability($0) } == .writable
    }

    /// Answers for `/pair/...`, the pairing pages.
    package func answerPairing(_ request: HTTPRequest) async -> HTTPResponse {
        await pairing.answer(request)
    }

    /// Brings the schema up to date and makes what the configuration names exist.
    /// - Throws: `MigrationError`, `PostgresError`.
    package func prepare() async throws {
        let server = Pool(url: settings.databaseURL, size: 1, mustWrite: true)
        do {
            for change in try await GatewaySchema.migrator.apply(to: server, deadline: .after(.seconds(120))) {
                logger.log(.schemaChanged(change))
            }
            await server.close()
        } catch {
            await server.close()
            throw error
        }
        try await applyConfiguration(agents: settings.agents, installations: settings.installations)
    }

    /// Applies what a configuration that was read again says of agents, installations and sealing keys. What did not change
    /// goes on undisturbed.
    /// - Throws: `PostgresError`; then nothing was applied.
    package func reload(_ new: GatewaySettings) async throws {
        try await applyConfiguration(agents: new.agents, installations: new.installations)
        await hub.withLock { $0 }?.update(CredentialSource(new.installations, keys: new.sealing))
    }

    /// What the file made and names no longer is revoked or archived; what commands made is left alone.
    private func applyConfiguration(agents: [AgentSettings], installations: [InstallationSettings]) async throws {
        for change in try await repository.applyConfiguration(agents: agents, installations: installations) {
            logger.log(.configurationApplied(change))
        }
    }

    /// Runs until `stop` is set, then stops in order: no more receiving, every window flushed, the outbox's sends under
    /// way finished, leases released.
    /// - Parameter started: called when everything is under way.
    /// - Returns: whether all of the stop was done within the shutdown time-out.
    package func run(until stop: AsyncEvent, started: @Sendable () async -> Void = {}) async -> Bool {
        let leases = LeaseTable()
        let apps = AppDirectory()
        let outboxHasWork = Doorbell()
        let lookNow = Doorbell()
        let enqueuer = TaskEnqueuer(
            repository: repository, leases: leases, outboxHasWork: outboxHasWork, logger: logger, metrics: metrics)
        let batcher = RunBatcher(
            settings.batching,
            flushFailed: { [logger, metrics] count, error, retryIn in
                logger.log(.flushFailed(windows: count, error, retryIn: retryIn))
                metrics.add(to: .flushFailures)
            }, flush: { try await enqueuer.flush($0, force: $1) })
        let pacer = SendPacer(settings.sendLimits)
        let typing = TypingIndicator(
            repository: repository, apps: apps, isSilent: { pacer.isSilent($0) }, holder: identity.name,
            outages: outages, logger: logger)
        let context = ContextFetcher(repository: repository, apps: apps, logger: logger)
        let fenced = AsyncStream.makeStream(of: Lease.self, bufferingPolicy: .bufferingNewest(1000))
        let dispatcher = Dispatcher(
            batcher: batcher, outboxHasWork: outboxHasWork, logger: logger, metrics: metrics,
            windowOpened: { row, session, position in
                typing.windowOpened(by: row, in: session, at: position)
                context.windowOpened(by: row, in: session, at: position)
            },
            fenced: { fenced.continuation.yield($0) },
            store: { [repository] in try await repository.ingest($0, skipsBusy: $1, deadline: $2) })
        let hub = Hub(
            parts: Hub.Parts(
                repository: repository, leases: leases, apps: apps, batcher: batcher, dispatcher: dispatcher,
                transport: transport, acquired: { [typing] in typing.lookNow() }, outages: outages, logger: logger,
                metrics: metrics),
            identity: identity, settings: settings)
        let sender = OutboxSender(
            repository: repository,
            messenger: Messenger(
                repository: repository, apps: apps, pacer: pacer, publicURL: settings.publicURL,
                answering: { await typing.clear($0) }),
            pacer: pacer,
            holder: identity.name, hasWork: outboxHasWork, outages: outages, logger: logger, metrics: metrics)
        let hasProgress = Doorbell()
        let progress = ProgressCards(
            repository: repository, apps: apps, pacer: pacer, holder: identity.name, hasWork: hasProgress,
            outages: outages, logger: logger)
        let housekeeping = Housekeeping(
            repository: repository, leases: leases, batcher: batcher, outboxHasWork: outboxHasWork, lookNow: lookNow,
            outages: outages, logger: logger, metrics: metrics)
        let listener = Listener(
            url: settings.databaseURL,
            channels: ["gateway_outbox", "gateway_installation", "gateway_window", "gateway_progress"],
            anew: listenAnew)

        self.hub.withLock { $0 = hub }
        let hubTask = Task { await hub.run() }
        let senderTask = Task { await sender.run() }
        let sideTasks = [
            Task { await housekeeping.run() },
            Task { await typing.run() },
            Task { await progress.run() },
            Task { for await lease in fenced.stream { await hub.lose(lease, reason: "the database refused it") } },
            Task {
                await listener.run { [outages] event in
                    switch event {
                    case .listening:
                        outages.succeeded("listen")
                        outboxHasWork.ring()
                        lookNow.ring()
                        hub.lookNow()
                    case .notified(let notification):
                        switch notification.channel {
                        case "gateway_outbox": outboxHasWork.ring()
                        case "gateway_window": lookNow.ring()
                        case "gateway_progress": hasProgress.ring()
                        default: hub.lookNow()
                        }
                    case .lost(let error, _): outages.failed("listen", error)
                    }
                }
            },
        ]
        isReady.withLock { $0 = true }
        await started()
        await stop.wait()

        logger.log(.gatewayStopping())
        isReady.withLock { $0 = false }
        let step = Mutex("receiving")
        let stopping = Task { [repository, identity] in
            await hub.stopReceiving()
            await dispatcher.drain()
            step.withLock { $0 = "flushing the windows" }
            await batcher.flushAll()
            step.withLock { $0 = "sending what is under way" }
            senderTask.cancel()
            await senderTask.value
            step.withLock { $0 = "closing the connections" }
            hubTask.cancel()
            await hub.close()
            await hubTask.value
            step.withLock { $0 = "releasing the leases" }
            await Self.releaseLeases(of: identity, repository, outages)
        }
        let finished = await Self.finishes(stopping, within: settings.shutdownTimeout)
        if !finished { logger.log(.shutdownIncomplete(step.withLock { $0 })) }
        for task in sideTasks { task.cancel() }
        await pool.close()
        return finished
    }

    /// A statement that fails must not leave the bots without an owner until the leases have run out.
    private static func releaseLeases(
        of identity: ReplicaIdentity, _ repository: Repository, _ outages: OutageLog
    ) async {
        let deadline = Deadline.after(.seconds(6))
        while !deadline.hasPassed {
            do {
                try await repository.releaseLeases(holder: identity.name)
                return outages.succeeded("release_leases")
            } catch {
                outages.failed("release_leases", error)
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private static func finishes(_ task: Task<Void, Never>, within timeout: Duration) async -> Bool {
        let done = AsyncEvent()
        let expired = AsyncEvent()
        Task {
            await task.value
            done.set()
            expired.set()
        }
        let timer = Task {
            try await Task.sleep(for: timeout)
            expired.set()
        }
        await expired.wait()
        timer.cancel()
        return done.isSet
    }
}
