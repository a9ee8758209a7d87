import AsyncRuntime

/// Says once that the database is away for a piece of work that goes on trying, and once that it is back: an outage of
/// an hour is two lines, not thousands.
package final class OutageLog: Sendable {
    private struct Outage {
        let began: ContinuousClock.Instant
        var failures = 1
    }

    private let outages = Mutex([String: Outage]())
    private let logger: Logger

    package init(logger: Logger) {
        self.logger = logger
    }

    package func failed(_ work: String, _ error: any Error) {
        let isFirst = outages.withLock { outages in
            outages[work]?.failures += 1
            guard outages[work] == nil else { return false }
            outages[work] = Outage(began: .now)
            return true
        }
        if isFirst { logger.log(.databaseUnavailable(during: work, error)) }
    }

    package func succeeded(_ work: String) {
        guard let outage = outages.withLock({ $0.removeValue(forKey: work) }) else { return }
        logger.log(
            .databaseRecovered(during: work, failures: outage.failures, lasted: outage.began.duration(to: .now)))
    }
}
