import AsyncRuntime
import Curl
import Foundation
import Lark
import Store
import WebSocket

/// Keeps one installation connected for as long as this replica owns it.
actor InstallationSupervisor {
    nonisolated let credentials: AppCredentials
    nonisolated let lease: Lease
    nonisolated let api: OpenAPIClient

    private let transport: any WebSocketTransport
    private let longConnection: LongConnectionSettings
    private let bootstrap: EndpointBootstrap
    private let receiver: DeliveryReceiver
    private let repository: Repository
    private let board: ConnectionBoard
    private let handshakes: ConcurrencyLimit
    private let logger: Logger
    private let metrics: Metrics
    private let bot: KnownBot
    private var policy = ReconnectPolicy()
    private var connection: LongConnection?
    private var isStopping = false
    private var lastIdentityFailure: String?

    init(
        credentials: AppCredentials, lease: Lease, bot: BotIdentity, transport: any WebSocketTransport,
        longConnection: LongConnectionSettings, http: HTTPExchange, dispatcher: Dispatcher, repository: Repository,
        board: ConnectionBoard, handshakes: ConcurrencyLimit, logger: Logger, metrics: Metrics
    ) {
        self.credentials = credentials
        self.lease = lease
        self.bot = KnownBot(bot)
        self.transport = transport
        self.longConnection = longConnection
        bootstrap = EndpointBootstrap(domain: credentials.domain, http: http)
        api = OpenAPIClient(
            domain: credentials.domain, appID: credentials.appID, appSecret: credentials.appSecret, http: http)
        receiver = DeliveryReceiver(
            appID: credentials.appID, lease: lease, bot: self.bot, dispatcher: dispatcher, logger: logger,
            rateLimitedLog: RateLimitedLog(logger: logger), metrics: metrics)
        self.repository = repository
        self.board = board
        self.handshakes = handshakes
        self.logger = logger
        self.metrics = metrics
    }

    /// Until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            // Without the bot's identity a group's messages can't be judged: the first time, know it before connecting.
            if !isIdentified, await !identify() { group.addTask { await self.keepIdentifying() } }
            await keepConnected()
            group.cancelAll()
        }
    }

    /// Nothing more is delivered; the acks of what was still go out.
    func drain() async {
        isStopping = true
        board.set(.draining, of: lease)
        logger.logDebug(.connectionState(appID: credentials.appID, .draining))
        await connection?.stopReceiving()
    }

    // MARK: Connecting

    private func keepConnected() async {
        let start = ContinuousClock.now
        var random = SystemRandomNumberGenerator()
        var ends = EndRate()
        var lastRefusal: String?
        while !Task.isCancelled, !isStopping {
            let wait: Duration
            do {
                show(.connecting)
                let connection = try await connect()
                show(.connected)
                lastRefusal = nil
                policy.connected()
                let began = ContinuousClock.now
                let end = await run(connection)
                policy.learn(await connection.config)
                let lived = began.duration(to: .now)
                let isNormal = if case .failed = end { false } else { true }
                wait = policy.ended(isNormal: isNormal, lived: lived, using: &random)
                metrics.add(to: .connectionsEnded, isNormal ? "normal" : "failed")
                let goesOn = !Task.isCancelled && !isStopping
                show(.backingOff(reason: "\(end)", retryAt: .now + wait))
                logger.log(
                    .connectionClosed(appID: credentials.appID, end, lived: lived, retryIn: goesOn ? wait : nil))
                if goesOn, let count = ends.ended(now: start.duration(to: .now)) {
                    logger.log(.connectionUnstable(appID: credentials.appID, ends: count, within: EndRate.window))
                }
            } catch ConnectFailure.refused(let code, let reason) {
                wait = policy.refused()
                show(.refused(reason: reason, retryAt: .now + wait))
                // Once, not every five minutes.
                if lastRefusal != reason {
                    logger.log(
                        .installationRefused(appID: credentials.appID, code: code, reason: reason, retryIn: wait))
                }
                lastRefusal = reason
            } catch ConnectFailure.unsafe(let reason) {
                wait = policy.refused()
                show(.refused(reason: reason, retryAt: .now + wait))
                if lastRefusal != reason {
                    logger.log(.endpointRefused(appID: credentials.appID, reason: reason, retryIn: wait))
                }
                lastRefusal = reason
            } catch ConnectFailure.retryable(let reason, let busy) {
                wait = policy.failed(busy: busy, using: &random)
                show(.backingOff(reason: reason, retryAt: .now + wait))
                logger.log(.connectionFailed(appID: credentials.appID, reason: reason, retryIn: wait))
            } catch {
                // Cancelled, the one error left.
                return
            }
            try? await Task.sleep(for: wait)
        }
    }

    /// Not after a stop: `drain` has set the state already.
    private func show(_ state: ConnectionState) {
        guard !Task.isCancelled, !isStopping else { return }
        board.set(state, of: lease)
        logger.logDebug(.connectionState(appID: credentials.appID, state))
    }

    private var turn: ConcurrencyLimit.Caller {
        ConcurrencyLimit.Caller(place: credentials.domain.absoluteString, app: credentials.appID)
    }

    private func connect() async throws -> LongConnection {
        try await handshakes.run(for: turn) { [self] in
            let endpoint = try await bootstrap.fetch(appID: credentials.appID, appSecret: credentials.appSecret)
            await learn(endpoint.config)
            let connection = try await LongConnection.connect(
                to: endpoint, transport: transport, settings: longConnection,
                receive: { [receiver] delivery, connection in await receiver.receive(delivery, on: connection) },
                dropped: { [receiver] frame in receiver.dropped(frame) })
            logger.log(.connectionOpened(appID: credentials.appID, serviceID: endpoint.serviceID))
            return connection
        }
    }

    private func learn(_ config: ClientConfig) {
        policy.learn(config)
    }

    private func run(_ connection: LongConnection) async -> LongConnection.End {
        self.connection = connection
        if isStopping { await connection.stopReceiving() }
        metrics.add(to: .connections)
        defer {
            receiver.ended()
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
            // In turn with the handshakes: at a start, all bots ask.
            let found = try await handshakes.run(for: turn) { [api] in try await api.botIdentity() }
            bot.learn(found)
            lastIdentityFailure = nil
            logger.log(.botIdentified(appID: credentials.appID, found))
            try await repository.saveBotIdentity(found, of: lease.installation)
        } catch {
            guard !Task.isCancelled else { return false }
            let event = LogEvent.botIdentityUnknown(appID: credentials.appID, error, isKnown: bot.identity.isKnown)
            // What stays as it was is not said again with every attempt.
            let kind = (error as? OpenAPIError)?.kind ?? "\(error)"
            if kind != lastIdentityFailure { logger.log(event) }
            lastIdentityFailure = kind
        }
        return isIdentified
    }

    /// While nothing is known, what was said to the bot in groups comes back again and again: ask soon. An app without
    /// the permission for the union_id never gets it: ask rarely.
    private func keepIdentifying() async {
        var backoff = Backoff(initial: .seconds(1), maximum: .seconds(30))
        while !Task.isCancelled {
            let soon = max(backoff.next(), .milliseconds(200))
            try? await Task.sleep(for: bot.identity.isKnown ? .seconds(600) : soon)
            if !Task.isCancelled, await identify() { return }
        }
    }
}
