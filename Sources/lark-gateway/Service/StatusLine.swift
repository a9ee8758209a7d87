/// What systemd shows of the service (`STATUS=`). Pure.
struct StatusLine: Equatable {
    /// nil before the gateway runs.
    var installations: Int?
    var postgres = PrivatePostgresSupervisor.State.running
    var isStopping = false

    var text: String {
        switch postgres {
        case .running: break
        case .startingAgain(let attempt): return "Postgres ended, starting it again (attempt \(attempt))"
        case .givenUp: return "Postgres can't be started again, stopping"
        }
        if isStopping { return "flushing and closing" }
        return installations.map { "\($0) installations" } ?? "starting"
    }
}
