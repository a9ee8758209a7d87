/// Which connections owe the rest of a request, and since when. libmicrohttpd's own timeout begins anew with every
/// byte, so a client that sends one now and then would keep its place for ever. Pure: time comes from outside.
struct RequestClock: Sendable {
    typealias Instant = ContinuousClock.Instant

    private let patience: Duration
    private var since: [Int: Instant] = [:]

    init(patience: Duration) {
        self.patience = patience
    }

    var isIdle: Bool { since.isEmpty }

    /// The connection is there, or its request before is answered.
    mutating func begin(_ connection: Int, _ now: Instant) {
        since[connection] = now
    }

    /// Its request has come whole, or the connection has gone.
    mutating func end(_ connection: Int) {
        since[connection] = nil
    }

    /// Takes out those whose time is over.
    mutating func takeOverdue(_ now: Instant) -> [Int] {
        let overdue = since.filter { $0.value + patience <= now }.map(\.key)
        for connection in overdue { since[connection] = nil }
        return overdue
    }
}
