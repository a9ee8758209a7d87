import Curl
import AsyncRuntime
import Foundation
import Lark
import WebSocket

/// Keeps one installation connected for as long as this replica owns it.
actor InstallationSupervisor {
    struct Timing: Sendable {
        var refusedRetry: Duration = .seconds(300)
        /// So long a connection was healthy, and the backoff starts again.
        var health: Duration = .seconds(60)
    }

    nonisolated let settings: InstallationSettings
    nonisolated let lease: Lease
    nonisolated let api: OpenAPIClient

    private let transport: any WebSocketTransport
    private let longConnection: LongConnectionSettings
    private let bootstrap: EndpointBootstrap
    private let receiver: DeliveryReceiver
    private let repository: Repository
    private let gate: Gate
    private let logger: Logger
    private let metrics: Metrics
    private let timing: Timing
    private let bot: KnownBot
    private var connection: LongConnection?
    private var isStopping = false

    init(
        settings: InstallationSettings, lease: Lease, bot: BotIdentity, transport: any WebSocketTransport,
        longConnection: LongConnectionSettings, http: HTTPExchange, dispatcher: Dispatcher, repository: Repository, gate: Gate, logger: Logger,
        metrics: Metrics, timing: Timing = Timing()
    ) {
        self.settings = settings
        self.lease = lease
        self.bot = KnownBot(bot)
        self.transport = transport
        self.longConnection = longConnection
        bootstrap = EndpointBootstrap(domain: settings.domain, http: http)
        api = OpenAPIClient(
            domain: settings.domain, appID: settings.appID, appSecret: settings.appSecret, http: http)
        receiver = DeliveryReceiver(
            appID: settings.appID, lease: lease, bot: self.bot, dispatcher: dispatcher, logger: logger, metrics: metrics
        )
        self.repository = repository
        self.gate = gate
        self.logger = logger
        self.metrics = metrics
        self.timing = timing
    }

    /// Until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            // Without the bot's identity a group's messages are not for us: the first time, know it before connecting.
            if !isIdentified, await !identify() { group.addTask { await self.keepIdentifying() } }
            await keepConnected()
            group.cancelAll()
        }
    }

    /// Nothing more is delivered; the acks of what was still go out.
    func stopReceiving() async {
        isStopping = true
        await connection?.stopReceiving()
    }

    // MARK: Connecting

    private func keepConnected() async {
        var backoff = Backoff(initial: .seconds(2), maximum: .seconds(60))
        var lastRefusal: String?
        while !Task.isCancelled, !isStopping {
            let began = ContinuousClock.now
            var wait: Duration
            do {
                let end = try await connectAndRun(opened: { lastRefusal = nil })
                let lived = began.duration(to: .now)
                if lived >= timing.health { backoff.reset() }
                let isNormal = if case .failed = end { false } else { true }
                // A cut is normal, and deafness costs more than a new connection.
                if isNormal { backoff.reset() }
                wait = backoff.next()
                metrics.add(to: .connectionsEnded, isNormal ? "normal" : "failed")
                let goesOn = !Task.isCancelled && !isStopping
                logger.log(
                    .connectionClosed(appID: settings.appID, end, lived: lived, retryIn: goesOn ? wait : nil))
            } catch ConnectFailure.refused(let code, let reason) {
                wait = timing.refusedRetry
                // Once, not every five minutes.
                if lastRefusal != reason {
                    logger.log(
                        .installationRefused(appID: settings.appID, code: code, reason: reason, retryIn: wait))
                }
                lastRefusal = reason
            } catch ConnectFailure.retryable(let reason, let busy) {
                wait = backoff.next()
                if let busy { wait = .milliseconds(Int64.random(in: 0...max(1, busy.milliseconds))) }
                logger.log(.connectionFailed(appID: settings.appID, reason: reason, retryIn: wait))
            } catch {
                // Cancelled, the one error left.
                return
            }
            try? await Task.sleep(for: wait)
        }
    }

    private func connectAndRun(opened: () -> Void) async throws -> LongConnection.End {
        let connection = try await gate.pass { [self] in
            let endpoint = try await bootstrap.fetch(appID: settings.appID, appSecret: settings.appSecret)
            let connection = try await LongConnection.connect(
                to: endpoint, transport: transport, settings: longConnection,
                receive: { [receiver] delivery, connection in await receiver.receive(delivery, on: connection) },
                dropped: { [receiver] frame in receiver.dropped(frame) })
            logger.log(.connectionOpened(appID: settings.appID, serviceID: endpoint.serviceID))
            return connection
        }
        opened()
        self.connection = connection
        if isStopping { await connection.stopReceiving() }
        metrics.add(to: .connections)
        defer {
            metrics.add(-1, to: .connections)
            self.connection = nil
        }
        return await connection.run()
    }

    // MARK: Who the bot is

    private var isIdentified: Bool { bot.identity.openID != nil && bot.identity.unionID != nil }

    /// - Returns: whether all is known now.
    private func identify() async -> Bool {
        do {
            let found = try await api.botIdentity()
            bot.learn(found)
            logger.log(.botIdentified(appID: settings.appID, found))
            try await repository.saveBotIdentity(found, of: lease.installation)
        } catch {
            if !Task.isCancelled { logger.log(.botIdentityUnknown(appID: settings.appID, error)) }
        }
        return isIdentified
    }

    /// An app without the permission for the union_id never gets it; ask rarely.
    private func keepIdentifying() async {
        while !Task.isCancelled {
            let isUseful = bot.identity.openID != nil
            try? await Task.sleep(for: isUseful ? .seconds(600) : .seconds(30))
            if !Task.isCancelled, await identify() { return }
        }
    }
}
