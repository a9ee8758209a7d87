import AsyncRuntime
import Configuration
import Gateway
import Postgres
import Store

/// The daemon as a service: its Postgres, its gateway and its metrics, from start to stop, and what signals and systemd
/// want of it.
struct Service: Sendable {
    /// Of the configuration file, which a reload reads again.
    let path: String
    let configuration: Configuration
    let stop: AsyncEvent
    let reloads: ReloadSignal
    let status: ServiceStatus
    let log: LogWriter

    private var logger: Logger { log.logger }

    /// - Returns: the exit code.
    func serve() async throws -> Int32 {
        let finished =
            if configuration.databaseURL == nil {
                try await Database.withPrivateServer(configuration) { try await serve(own: $0) }
            } else {
                try await serve(own: nil)
            }
        logger.log(.gatewayStopped())
        return finished ? ExitCode.done : ExitCode.failed
    }

    /// - Parameter own: the private Postgres, which is started here and stopped at the end.
    /// - Returns: whether all of the stop was done in time.
    private func serve(own: PrivatePostgres?) async throws -> Bool {
        let url = try Database.url(configuration)
        try configuration.checkWorkerDoors()
        for (key, problem) in configuration.warnings { logger.log(.configurationWarned(key: key, problem: problem)) }
        let metrics = Metrics()
        let gateway = Gateway(
            configuration.gatewaySettings(databaseURL: url),
            transport: configuration.transportKind.make(network: configuration.network), logger: logger,
            metrics: metrics)
        // First, so that a port that is taken ends the start before anything else happened.
        let ports = try await Ports.take(
            configuration, health: Health(gateway: gateway, status: status), metrics: metrics, logger: logger)
        let finished: Bool
        do {
            finished = try await serve(gateway, on: url, own: own)
        } catch {
            await ports.release()
            throw error
        }
        await ports.release()
        return finished
    }

    private func serve(_ gateway: Gateway, on url: String, own: PrivatePostgres?) async throws -> Bool {
        guard let own else { return try await serve(gateway, on: url) }
        return try await PrivatePostgresSupervisor(server: own, logger: logger, changed: { status.postgresChanged($0) })
            .whileRunning(until: stop) { try await serve(gateway, on: url) }
    }

    private func serve(_ gateway: Gateway, on url: String) async throws -> Bool {
        guard try await prepare(gateway, on: url) else { return true }
        try await PrivateWorkers.grant(configuration, on: url, logger)
        let started = AsyncEvent()
        let sideTasks = [
            Task {
                await stop.wait()
                if stop.isSet { status.stopping() }
            },
            Task {
                await started.wait()
                var reloading = Reloading(of: self, gateway, on: url)
                await reloading.run()
            },
        ]
        let finished = await gateway.run(until: stop, heartbeat: status.heartbeat) {
            logger.log(
                .gatewayStarted(
                    version: LarkGateway.version, transport: gateway.transportName,
                    proxy: configuration.network.proxies.https?.address, replica: gateway.replica,
                    installations: configuration.installations.count))
            status.ready(installations: configuration.installations.count)
            started.set()
        }
        for task in sideTasks { task.cancel() }
        for task in sideTasks { await task.value }
        return finished
    }

    /// A database that is away when the machine boots is waited for; one that refuses us is an error, and so is a
    /// pooler.
    /// - Returns: false when a stop was asked for meanwhile.
    private func prepare(_ gateway: Gateway, on url: String) async throws -> Bool {
        var backoff = Backoff(initial: .seconds(1), maximum: .seconds(15))
        let patience = Deadline.after(.seconds(30))
        while !stop.isSet {
            do {
                try await Database.refusePooler(configuration)
                try await Database.explainingLacks(at: url, for: .gateway) { try await gateway.prepare() }
                return true
            } catch let error as RevokesEveryBot {
                throw ConfigurationError(keyPath: "installations", problem: "\(error); \(error.hint)")
            } catch PostgresError.connection(let reason) where !patience.hasPassed && Self.mayPass(reason) {
                logger.log(.databaseUnavailable(during: "start", PostgresError.connection(reason)))
                await stop.wait(atMost: max(backoff.next(), .milliseconds(500)))
            } catch PostgresError.connection(let reason) where Self.mayPass(reason) {
                throw PostgresError.connection("given up after 30 s: \(reason)")
            }
        }
        return false
    }

    /// What the server itself refuses (no such database, wrong password) stays refused, unless it is just starting.
    private static func mayPass(_ reason: String) -> Bool {
        guard reason.contains("FATAL:") else { return true }
        return ["starting up", "shutting down", "recovery", "too many"].contains { reason.contains($0) }
    }
}
