import AsyncRuntime

/// When to connect again, as a value: what happened goes in, a wait comes out. The platform's own figures
/// (ClientConfig) bound it where they ask for less haste or less waiting; two minutes of deafness, their default, are
/// too long.
package struct ReconnectPolicy: Sendable {
    /// After what only a person can mend, and where the platform wants no more attempts.
    package static let slowRetry: Duration = .seconds(300)
    /// So long a connection lived, and the waits start again from the smallest.
    static let health: Duration = .seconds(60)

    private var backoff = Backoff(initial: .seconds(2), maximum: .seconds(60))
    private var config = ClientConfig()
    /// Attempts in a row that made no connection.
    private var failures = 0

    package init() {}

    /// Takes effect with the next wait.
    package mutating func learn(_ config: ClientConfig) {
        let interval = self.config.reconnectInterval
        self.config = config
        // What an answer does not say is as it was.
        self.config.reconnectInterval = config.reconnectInterval ?? interval
    }

    package mutating func connected() {
        failures = 0
    }

    /// - Parameter isNormal: the server closed it, as it often does.
    package mutating func ended(
        isNormal: Bool, lived: Duration, using random: inout some RandomNumberGenerator
    ) -> Duration {
        // A cut is normal, and deafness costs more than a new connection.
        if isNormal || lived >= Self.health { backoff.reset() }
        let wait = backoff.next(using: &random)
        // ReconnectNonce bounds the first wait.
        return isNormal ? min(wait, config.reconnectNonce) : wait
    }

    /// - Parameter busy: where the platform said so. Bounds the wait: by the interval that it named with it, else by
    ///   the last one that it ever named, else by nothing but the backoff.
    package mutating func failed(busy: ConnectFailure.Busy?, using random: inout some RandomNumberGenerator) -> Duration
    {
        failures += 1
        let wait = backoff.next(using: &random)
        if let limit = config.reconnectCount, failures >= limit { return Self.slowRetry }
        guard let busy, let bound = busy.interval ?? config.reconnectInterval else { return wait }
        return Self.random(upTo: bound, using: &random)
    }

    package mutating func refused() -> Duration {
        Self.slowRetry
    }

    private static func random(upTo bound: Duration, using random: inout some RandomNumberGenerator) -> Duration {
        .milliseconds(Int64.random(in: 0...max(1, bound.milliseconds), using: &random))
    }
}
