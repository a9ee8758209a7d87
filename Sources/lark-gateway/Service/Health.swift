import Gateway
import HTTPServer

/// What `/healthz` answers: 503 where nothing but another start of the process would help, so also what systemd's
/// watchdog goes by. A database or a platform that is away is none of that: `/readyz` tells of it.
struct Health: Sendable {
    let gateway: Gateway
    let status: ServiceStatus

    func answer() -> HTTPResponse {
        if status.hasGivenUp { return .text("Postgres can't be started again\n", status: 503) }
        let silences = gateway.silences
        guard silences.isEmpty else {
            return .text(silences.map { "\($0)\n" }.joined(), status: 503)
        }
        return .text("ok\n")
    }
}
