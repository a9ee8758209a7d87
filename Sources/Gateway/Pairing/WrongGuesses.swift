import AsyncRuntime

/// How often each client was wrong of late: who tries out secrets is refused before any is looked at. Bounded in
/// memory.
struct WrongGuesses: Sendable {
    private static let limit = 20
    private static let period: Duration = .seconds(60)
    private static let mostClients = 10_000

    private var clients: [String: SlidingWindow] = [:]

    var clientCount: Int { clients.count }

    /// How long the client has to wait; nil: not at all.
    func wait(of client: String, _ now: ContinuousClock.Instant) -> Duration? {
        guard let next = clients[client]?.next(now), next > now else { return nil }
        return now.duration(to: next)
    }

    mutating func record(_ client: String, _ now: ContinuousClock.Instant) {
        if clients[client] == nil, clients.count >= Self.mostClients {
            clients = clients.filter { !$0.value.isIdle(now) }
            // An attack from so many addresses has a bound of its own: five wrong codes end a link.
            if clients.count >= Self.mostClients { clients.removeAll() }
        }
        var window = clients[client] ?? SlidingWindow(limit: Self.limit, per: Self.period)
        guard window.next(now) <= now else { return }
        window.record(now)
        clients[client] = window
    }
}
