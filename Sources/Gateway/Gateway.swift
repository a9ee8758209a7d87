import AsyncRuntime
import HTTPServer
import Lark
import Postgres
import Store
import WebSocket

/// The whole gateway, put together: a message's way is LongConnection, Dispatcher, Repository, RunBatcher,
/// TaskEnqueuer, and back out through OutboxSender and Messenger.
package final class Gateway: Sendable {
    private let ground: Assembly.Ground
    private let pairing: PairingSite
    private let isReady = Mutex(false)
    /// While it runs, for `reload`.
    private let parts = Mutex<Assembly?>(nil)
    /// While it runs.
    private let liveness = Mutex<LivenessProbe?>(nil)

    package init(
        _ settings: GatewaySettings, transport: (any WebSocketTransport)? = nil, logger: Logger,
        metrics: Metrics = Metrics()
    ) {
        ground = Assembly.Ground(settings, transport: transport, logger: logger, metrics: metrics)
        pairing = PairingSite(
            repository: ground.repository, keys: settings.sealing, outages: ground.outages, logger: logger)
    }

    package var replica: String { ground.identity.name }
    package var transportName: String { ground.transport.name }

    /// The parts that an ack needs and that do not answer; none before it runs.
    package var silences: [Liveness.Silence] { liveness.withLock { $0 }?.silences ?? [] }

    /// Set up and not stopping, and the database can be written.
    package func checkReady() async -> Bool {
        guard isReady.withLock({ $0 }) else { return false }
        let rows = try? await ground.pool.query(Writability.statement, deadline: .after(.seconds(2)))
        return rows.flatMap { try? Writability($0) } == .writable
    }

    /// Answers for `/pair/...`, the pairing pages.
    package func answerPairing(_ request: HTTPRequest) async -> HTTPResponse {
        await pairing.answer(request)
    }

    /// Brings the schema up to date and makes what the configuration names exist.
    /// - Throws: `MigrationError`, `RevokesEveryBot`, `PostgresError`.
    package func prepare() async throws {
        let server = Pool(url: ground.settings.databaseURL, size: 1, mustWrite: true)
        do {
            for change in try await GatewaySchema.migrator.apply(to: server, deadline: .after(.seconds(120))) {
                ground.logger.log(.schemaChanged(change))
            }
            await server.close()
        } catch {
            await server.close()
            throw error
        }
        try await apply(ground.settings.configured)
    }

    /// Applies what a configuration that was read again says of agents, installations, secrets, sealing keys, batching
    /// and limits. What did not change goes on undisturbed. Called while the gateway runs: what `started` is told of.
    /// - Throws: `RevokesEveryBot`, `PostgresError`; then nothing was applied.
    package func reload(_ new: GatewaySettings) async throws {
        try await apply(new.configured)
        guard let parts = parts.withLock({ $0 }) else { return }
        parts.pacer.update(new.sendLimits)
        // The windows first: one that they close before the database would stays open a little longer, and no harm
        // done.
        parts.batcher.update(new.batching)
        ground.repository.update(new.batching)
        await updateSecrets(new)
    }

    /// Takes the secrets and keys of settings that are otherwise those in effect. Connections whose credentials changed
    /// are made again.
    package func updateSecrets(_ new: GatewaySettings) async {
        pairing.update(new.sealing)
        await parts.withLock { $0 }?.hub.update(CredentialSource(new.installations, keys: new.sealing))
    }

    /// What the file made and names no longer is revoked or archived; what commands made is left alone, and what
    /// commands say of the rest counts. What that hides of the file is said each time.
    private func apply(_ configured: ConfiguredParts) async throws {
        let changes = try await ground.repository.applyConfiguration(configured)
        // Of what stays revoked the override is told.
        for change in changes where change.change != "stays_revoked" {
            ground.logger.log(.configurationApplied(change))
        }
        for thing in try await ground.repository.overriddenThings(limit: Self.maxOverridesTold) {
            if let event = LogEvent.overridden(thing) { ground.logger.log(event) }
        }
    }

    private static let maxOverridesTold = 1_000

    /// Runs until `stop` is set, then stops in order: see `Shutdown`.
    /// - Parameter heartbeat: goes on until the stop is done.
    /// - Parameter started: called when everything is under way.
    /// - Returns: whether all of the stop was done within the shutdown time-out.
    package func run(
        until stop: AsyncEvent, heartbeat: Heartbeat = Heartbeat(), started: @Sendable () async -> Void = {}
    ) async -> Bool {
        let parts = Assembly(ground)
        let probe = LivenessProbe(parts, interval: heartbeat.interval)
        self.parts.withLock { $0 = parts }
        liveness.withLock { $0 = probe }
        let running = Running(parts)
        isReady.withLock { $0 = true }
        await started()
        let asking = Task { await probe.run(beat: heartbeat.beat) }
        await stop.wait()

        ground.logger.log(.gatewayStopping())
        isReady.withLock { $0 = false }
        let isDone = await Shutdown(of: parts, running, ground).run(within: ground.settings.shutdownTimeout)
        self.parts.withLock { $0 = nil }
        asking.cancel()
        await asking.value
        return isDone
    }
}
