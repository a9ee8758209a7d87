import AsyncRuntime
import Foundation
import Lark
import Synchronization
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
    private let bootstrap: EndpointBootstrap
    private let dispatcher: Dispatcher
    private let repository: Repository
    private let gate: ConnectGate
    private let logger: Logger
    private let metrics: Metrics
    private let timing: Timing
    private let bot: Mutex<BotIdentity>
    private var connection: LongConnection?
    private var isStopping = false

    init(
        settings: InstallationSettings, lease: Lease, bot: BotIdentity, transport: any WebSocketTransport,
        http: HTTPExchange, dispatcher: Dispatcher, repository: Repository, gate: ConnectGate, logger: Logger,
        metrics: Metrics, timing: Timing = Timing()
    ) {
        self.settings = settings
        self.lease = lease
        self.bot = Mutex(bot)
        self.transport = transport
        bootstrap = EndpointBootstrap(domain: settings.domain, http: http)
        api = OpenAPIClient(
            domain: settings.domain, appID: settings.appID, appSecret: settings.appSecret, http: http)
        self.dispatcher = dispatcher
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
                to: endpoint, transport: transport,
                receive: { [weak self] delivery, connection in await self?.receive(delivery, on: connection) },
                report: { [weak self] event in self?.report(event) })
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

    private nonisolated func report(_ event: LongConnection.Event) {
        switch event {
        case .connected: break
        case .dropped(let dropped):
            logger.log(.frameDropped(appID: settings.appID, dropped))
            metrics.add(to: .framesDropped, Self.label(dropped))
        }
    }

    private static func label(_ dropped: LongConnectionMachine.Dropped) -> String {
        switch dropped {
        case .notAFrame: "not_a_frame"
        case .textMessage: "text_message"
        case .unknownMethod: "unknown_method"
        case .part: "part"
        case .expiredParts: "expired_parts"
        }
    }

    // MARK: Receiving

    /// Decides what a delivery is; must not wait for storage.
    private nonisolated func receive(_ delivery: Delivery, on connection: LongConnection) async {
        let began = ContinuousClock.now
        guard delivery.type == "event" else {
            if delivery.type != "card" { logger.log(.frameIgnored(appID: settings.appID, type: delivery.type)) }
            metrics.add(to: .eventsIgnored)
            // To refuse it would only bring it back for ever.
            return await connection.acknowledge(delivery, .handled, handledIn: .zero)
        }
        let decoder = EventDecoder(appID: settings.appID, bot: bot.withLock { $0 })
        switch decoder.decode(delivery.payload) {
        case .message(let message):
            await dispatcher.receive(message, under: lease) { code in
                await connection.acknowledge(delivery, code, handledIn: began.duration(to: .now))
            }
        case .ignored(let type):
            logger.log(.eventIgnored(appID: settings.appID, type: type, traceID: delivery.traceID))
            metrics.add(to: .eventsIgnored)
            await connection.acknowledge(delivery, .handled, handledIn: began.duration(to: .now))
        case .undecodable(let reason):
            logger.log(
                .eventUndecodable(
                    appID: settings.appID, reason: reason, bytes: delivery.payload.count, traceID: delivery.traceID))
            var message = InboundMessage(appID: settings.appID)
            message.fault = .invalidEvent
            message.faultReason = reason
            await dispatcher.receive(message, under: lease) { code in
                await connection.acknowledge(delivery, code, handledIn: began.duration(to: .now))
            }
        }
    }

    // MARK: Who the bot is

    private var isIdentified: Bool { bot.withLock { $0.openID != nil && $0.unionID != nil } }

    /// - Returns: whether all is known now.
    private func identify() async -> Bool {
        do {
            let found = try await api.botIdentity()
            bot.withLock { bot in
                bot = BotIdentity(openID: found.openID ?? bot.openID, unionID: found.unionID ?? bot.unionID)
            }
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
            let isUseful = bot.withLock { $0.openID != nil }
            try? await Task.sleep(for: isUseful ? .seconds(600) : .seconds(30))
            if !Task.isCancelled, await identify() { return }
        }
    }
}
