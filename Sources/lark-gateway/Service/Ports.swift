import Configuration
import Gateway
import HTTPServer

/// What the daemon listens on.
struct Ports: Sendable {
    private let servers: [HTTPServer]

    /// A port that can't be had.
    struct Failure: Error, CustomStringConvertible {
        /// Of the configuration, such as `metrics.listen`.
        let key: String
        let reason: HTTPServerError

        var description: String { "\(key): \(reason)" }
    }

    /// Listens at once; until the gateway is prepared its answer is 503.
    /// - Throws: `Failure`; then no port is held.
    static func take(
        _ configuration: Configuration, health: Health, metrics: Metrics, logger: Logger
    ) async throws -> Ports {
        var servers: [HTTPServer] = []
        do {
            if let address = configuration.metrics {
                let server = try listen("metrics.listen") {
                    try MetricsServer.start(on: address, health: health, metrics: metrics)
                }
                servers.append(server)
                logger.log(.metricsListening(host: address.host, port: server.port))
            }
            if let address = configuration.pairing {
                let server = try listen("pairing.listen") {
                    try PairingServer.start(on: address, gateway: health.gateway)
                }
                servers.append(server)
                logger.log(.pairingListening(host: address.host, port: server.port))
            }
        } catch {
            await Ports(servers: servers).release()
            throw error
        }
        return Ports(servers: servers)
    }

    /// Returns when the requests under way are answered.
    func release() async {
        for server in servers.reversed() { await server.stop() }
    }

    private static func listen(_ key: String, _ start: () throws -> HTTPServer) throws -> HTTPServer {
        do {
            return try start()
        } catch let error as HTTPServerError {
            throw Failure(key: key, reason: error)
        }
    }
}
