import Configuration
import AsyncRuntime
import Foundation
import Gateway
import Postgres
import WebSocket

/// `run`: the daemon.
enum RunCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config"])
        try arguments.refusePositional()
        let configuration = try Configuration.load(path: arguments.required("config"))
        let signals = StopSignals()
        let notifier = SystemdNotifier(environment: ProcessInfo.processInfo.environment)
        let logger = LogWriter(settings: configuration.log).logger
        try await configuration.checkTransport()
        return try await serve(configuration, stop: signals.stop, notifier: notifier, logger: logger)
    }

    private static func serve(
        _ configuration: Configuration, stop: AsyncEvent, notifier: SystemdNotifier, logger: Logger
    ) async throws -> Int32 {
        var server: PrivatePostgres?
        if configuration.databaseURL == nil {
            let own = try Database.privateServer(configuration)
            let adopted = try await own.start(deadline: .after(.seconds(120)))
            logger.log(.postgresStarted(directory: own.directory, adopted: adopted))
            server = own
        }
        let finished: Bool
        do {
            finished = try await serve(
                configuration, on: try Database.url(configuration), stop: stop, notifier: notifier, logger: logger)
        } catch {
            try? await server?.stop(deadline: .after(.seconds(30)))
            throw error
        }
        try await server?.stop(deadline: .after(.seconds(30)))
        logger.log(.gatewayStopped())
        return finished ? ExitCode.done : ExitCode.failed
    }

    private static func serve(
        _ configuration: Configuration, on url: String, stop: AsyncEvent, notifier: SystemdNotifier, logger: Logger
    ) async throws -> Bool {
        let metrics = Metrics()
        let gateway = Gateway(
            configuration.gatewaySettings(databaseURL: url),
            transport: configuration.transportKind.make(network: configuration.network), logger: logger,
            metrics: metrics)
        // First, so that a port that is taken ends the start before anything else happened.
        let metricsServer = try configuration.metrics.map { address in
            let server = try MetricsServer.start(on: address, gateway: gateway, metrics: metrics)
            logger.log(.metricsListening(host: address.host, port: server.port))
            return server
        }
        guard try await prepare(gateway, stop: stop, logger: logger) else {
            await metricsServer?.stop()
            return true
        }
        let watchdog = Task {
            guard let interval = notifier.watchdogInterval else { return }
            while !Task.isCancelled {
                notifier.watchdog()
                try await Task.sleep(for: interval)
            }
        }
        let stopNotice = Task {
            await stop.wait()
            if stop.isSet { notifier.stopping() }
        }
        let finished = await gateway.run(until: stop) {
            logger.log(
                .gatewayStarted(
                    version: LarkGateway.version, transport: gateway.transportName,
                    proxy: configuration.network.proxies.https?.address, replica: gateway.replica,
                    installations: configuration.installations.count))
            notifier.ready("\(configuration.installations.count) installations")
        }
        watchdog.cancel()
        stopNotice.cancel()
        await metricsServer?.stop()
        return finished
    }

    /// A database that is away when the machine boots is waited for; one that refuses us is an error.
    /// - Returns: false when a stop was asked for meanwhile.
    private static func prepare(_ gateway: Gateway, stop: AsyncEvent, logger: Logger) async throws -> Bool {
        var backoff = Backoff(initial: .seconds(1), maximum: .seconds(15))
        let patience = Deadline.after(.seconds(30))
        while !stop.isSet {
            do {
                try await gateway.prepare()
                return true
            } catch PostgresError.connection(let reason) where !patience.hasPassed && mayPass(reason) {
                logger.log(.databaseUnavailable(during: "start", PostgresError.connection(reason)))
                let wait = max(backoff.next(), .milliseconds(500))
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await stop.wait() }
                    group.addTask { try? await Task.sleep(for: wait) }
                    await group.next()
                    group.cancelAll()
                }
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

extension Configuration {
    /// "auto" is what can be relied on here.
    var transportKind: TransportKind {
        switch transport {
        case .libcurl: .libcurl
        case .urlsession: .urlsession
        case .auto:
            #if canImport(FoundationNetworking)
                .libcurl
            #else
                .urlsession
            #endif
        }
    }

    /// - Throws: `ConfigurationError` when URLSession was asked for and this toolchain's Foundation can't do it.
    func checkTransport() async throws {
        guard transport == .urlsession,
            let failure = await TransportProbe.failure(of: TransportKind.urlsession.make())
        else { return }
        throw ConfigurationError(
            keyPath: "transport",
            problem: "\"urlsession\" does not work with this toolchain's Foundation (\(failure)); use \"auto\"")
    }

    func gatewaySettings(databaseURL: String) -> GatewaySettings {
        var settings = GatewaySettings(databaseURL: databaseURL, agents: agents, installations: installations)
        settings.batching = batching
        settings.lease = lease
        settings.network = network
        settings.longConnection = longConnection
        settings.shutdownTimeout = shutdownTimeout
        return settings
    }
}
