import AsyncRuntime
import Lark
import Postgres
import Store
import WebSocket

/// The parts of a gateway, made and connected to each other. None of them runs yet.
struct Assembly: Sendable {
    /// What a gateway has already before it runs.
    struct Ground: Sendable {
        let settings: GatewaySettings
        let pool: Pool
        let repository: Repository
        let identity = ReplicaIdentity.current()
        let transport: any WebSocketTransport
        /// Rung when connections of the pool broke: the one that listens may lead to the same server.
        let listenAnew: Doorbell
        let logger: Logger
        let metrics: Metrics
        let outages: OutageLog

        init(_ settings: GatewaySettings, transport: (any WebSocketTransport)?, logger: Logger, metrics: Metrics) {
            let listenAnew = Doorbell()
            self.settings = settings
            self.transport = transport ?? CurlTransport(network: settings.network)
            self.listenAnew = listenAnew
            self.logger = logger
            self.metrics = metrics
            pool = Pool(
                url: settings.poolerURL ?? settings.databaseURL, size: settings.poolSize,
                preparesStatements: settings.poolerURL == nil, mustWrite: true,
                limits: settings.poolerURL == nil ? Repository.sessionLimits : nil,
                generationEnded: { listenAnew.ring() })
            repository = Repository(pool: pool, batching: settings.batching)
            outages = OutageLog(logger: logger)
        }
    }

    let hub: Hub
    let dispatcher: Dispatcher
    let batcher: RunBatcher
    let pacer: SendPacer
    let sender: OutboxSender
    let typing: TypingIndicator
    let context: ContextFetcher
    let progress: ProgressCards
    let housekeeping: Housekeeping
    let notifications: Notifications
    let commands: CommandLog
    /// The leases under which the database refused a message.
    let fenced: AsyncStream<Lease>

    init(_ ground: Ground) {
        let (settings, repository, holder) = (ground.settings, ground.repository, ground.identity.name)
        let (logger, metrics, outages) = (ground.logger, ground.metrics, ground.outages)
        let (leases, apps, pacer) = (LeaseTable(), AppDirectory(), SendPacer(settings.sendLimits))
        let (outboxHasWork, windowsMayBeDue, hasProgress) = (Doorbell(), Doorbell(), Doorbell())
        let (fenced, fencedLeases) = AsyncStream.makeStream(of: Lease.self, bufferingPolicy: .bufferingNewest(1000))

        let enqueuer = TaskEnqueuer(
            repository: repository, leases: leases, outboxHasWork: outboxHasWork, logger: logger, metrics: metrics)
        let batcher = RunBatcher(
            settings.batching,
            flushFailed: { count, error, retryIn in
                logger.log(.flushFailed(windows: count, error, retryIn: retryIn))
                metrics.add(to: .flushFailures)
            }, flush: { try await enqueuer.flush($0, force: $1) })
        let typing = TypingIndicator(
            repository: repository, apps: apps, isSilent: { pacer.isSilent($0) }, holder: holder, outages: outages,
            logger: logger)
        let context = ContextFetcher(repository: repository, apps: apps, logger: logger)
        let dispatcher = Dispatcher(
            batcher: batcher, outboxHasWork: outboxHasWork, logger: logger, metrics: metrics,
            windowOpened: { row, session, position in
                typing.windowOpened(by: row, in: session, at: position)
                context.windowOpened(by: row, in: session, at: position)
            },
            fenced: { fencedLeases.yield($0) },
            store: { try await repository.ingest($0, skipsBusy: $1, deadline: $2) })
        let hub = Hub(
            parts: Hub.Parts(
                repository: repository, leases: leases, apps: apps, batcher: batcher, dispatcher: dispatcher,
                transport: ground.transport, acquired: { typing.lookNow() }, outages: outages, logger: logger,
                metrics: metrics),
            identity: ground.identity, settings: settings)

        self.hub = hub
        self.dispatcher = dispatcher
        self.batcher = batcher
        self.pacer = pacer
        self.typing = typing
        self.context = context
        self.fenced = fenced
        sender = OutboxSender(
            repository: repository,
            messenger: Messenger(
                repository: repository, apps: apps, pacer: pacer, publicURL: settings.publicURL,
                answering: { await typing.clear($0) }),
            pacer: pacer, holder: holder, hasWork: outboxHasWork, outages: outages, logger: logger, metrics: metrics)
        progress = ProgressCards(
            repository: repository, apps: apps, pacer: pacer, holder: holder, hasWork: hasProgress, outages: outages,
            logger: logger)
        housekeeping = Housekeeping(
            repository: repository, leases: leases, batcher: batcher, outboxHasWork: outboxHasWork,
            lookNow: windowsMayBeDue, outages: outages, logger: logger, metrics: metrics)
        commands = CommandLog(repository: repository, hasCommands: Doorbell(), outages: outages, logger: logger)
        notifications = Notifications(
            listener: Listener(
                url: settings.databaseURL, channels: Notifications.Channel.allCases.map(\.rawValue),
                anew: ground.listenAnew),
            outboxHasWork: outboxHasWork, windowsMayBeDue: windowsMayBeDue, hasProgress: hasProgress,
            hasCommands: commands.hasCommands, installationsChanged: { hub.lookNow() }, outages: outages)
    }
}
