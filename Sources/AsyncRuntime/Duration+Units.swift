import Dispatch

extension Duration {
    /// Whole milliseconds, rounded down.
    package var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }

    package var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }

    /// For dispatch timers; never negative, and at most 100 years.
    package var dispatchInterval: DispatchTimeInterval {
        let limit: Int64 = 100 * 365 * 86_400
        guard components.seconds < limit else { return .seconds(Int(limit)) }
        let nanoseconds = components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
        return .nanoseconds(Int(max(0, nanoseconds)))
    }
}
