import Configuration
import Gateway
import HTTPServer

/// `/metrics` (OpenMetrics), `/healthz` (another start would not help) and `/readyz` (it does its work).
enum MetricsServer {
    /// A scraper and some probes need a few connections for a moment, and send no body.
    private static let limits: HTTPServerLimits = {
        var limits = HTTPServerLimits()
        limits.maxBodyBytes = 0
        limits.maxConnections = 64
        limits.maxConnectionsPerAddress = 16
        limits.requestPatience = .seconds(10)
        return limits
    }()

    static func start(on address: ListenAddress, health: Health, metrics: Metrics) throws -> HTTPServer {
        try HTTPServer(host: address.host, port: address.port, limits: limits) { request in
            guard request.method == "GET" || request.method == "HEAD" else {
                return .text("only GET\n", status: 405)
            }
            switch request.path {
            case "/metrics":
                return .text(
                    metrics.openMetrics(), type: "application/openmetrics-text; version=1.0.0; charset=utf-8")
            case "/healthz": return health.answer()
            case "/readyz":
                return await health.gateway.checkReady() ? .text("ready\n") : .text("not ready\n", status: 503)
            default: return .text("try /metrics, /healthz or /readyz\n", status: 404)
            }
        }
    }
}
