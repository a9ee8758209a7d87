import AsyncRuntime
import Curl

/// Says once that a domain of the platform answers no request any more, and once that it does again.
final class PlatformLog: Sendable {
    private let domains = Mutex([String: PlatformOutage]())
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    /// A request is over.
    func ended(_ outcome: HTTPExchange.Outcome, _ now: ContinuousClock.Instant) {
        let event = domains.withLock { domains -> LogEvent? in
            var domain = domains[outcome.domain] ?? PlatformOutage()
            defer { domains[outcome.domain] = domain }
            guard let failure = outcome.failure else {
                guard let (failures, lasted) = domain.answered(now) else { return nil }
                return .platformRecovered(domain: outcome.domain, failures: failures, lasted: lasted)
            }
            guard domain.gaveNoAnswer(since: outcome.began, now) else { return nil }
            return .platformUnreachable(domain: outcome.domain, failure)
        }
        if let event { logger.log(event) }
    }
}

/// Requests to one domain, one after another, that got no answer. Pure: time comes from outside.
struct PlatformOutage: Sendable {
    private var failures = 0
    private var firstFailure: ContinuousClock.Instant?
    private var lastAnswer: ContinuousClock.Instant?

    /// One or two can be an accident.
    private static let enough = 3

    /// - Returns: whether it is to be said now that there is an outage.
    mutating func gaveNoAnswer(since began: ContinuousClock.Instant, _ now: ContinuousClock.Instant) -> Bool {
        // Others were answered meanwhile.
        if let lastAnswer, lastAnswer >= began { return false }
        failures += 1
        firstFailure = firstFailure ?? now
        return failures == Self.enough
    }

    /// - Returns: of the outage that is over and was said.
    mutating func answered(_ now: ContinuousClock.Instant) -> (failures: Int, lasted: Duration)? {
        lastAnswer = now
        defer { (failures, firstFailure) = (0, nil) }
        guard failures >= Self.enough, let firstFailure else { return nil }
        return (failures, firstFailure.duration(to: now))
    }
}
