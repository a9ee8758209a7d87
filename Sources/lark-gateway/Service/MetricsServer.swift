import Configuration
import Gateway
import HTTPServer

/// `/metrics` (OpenMetrics), `/healthz` (the process lives) and `/readyz` (it does its work).
enum MetricsServer {
    static func start(on address: ListenAddress, gateway: Gateway, metrics: Metrics) throws -> HTTPServer {
        try HTTPServer(host: address.host, port: address.port) { request in
            guard request.method == "GET" || request.method == "HEAD" else {
                return .text("only GET\n", status: 405)
            }
            switch request.path {
            case "/metrics":
                return .text(
                    metrics.openMetrics(), type: "application/openmetrics-text; version=1.0.0; charset=utf-8")
            case "/healthz": return .text("ok\n")
            case "/readyz":
                return await gateway.checkReady() ? .text("ready\n") : .text("not ready\n", status: 503)
            default: return .text("try /metrics, /healthz or /readyz\n", status: 404)
            }
        }
    }
}
