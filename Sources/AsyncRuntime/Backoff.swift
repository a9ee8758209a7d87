/// Exponential backoff with full jitter: a random wait between zero and a bound that doubles.
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
package struct Backoff: Sendable {
    package let initial: Duration
    package let maximum: Duration
    /// The bound of the next wait.
    package private(set) var bound: Duration

    package init(initial: Duration, maximum: Duration) {
        self.initial = initial
        self.maximum = maximum
        bound = initial
    }

    /// The next wait; doubles the bound.
    package mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let wait = Duration.nanoseconds(Int64.random(in: 0...bound.wholeNanoseconds, using: &random))
        bound = min(bound * 2, maximum)
        return wait
    }

    package mutating func next() -> Duration {
        var random = SystemRandomNumberGenerator()
        return next(using: &random)
    }

    /// Back to the smallest bound: what is retried was healthy again.
    package mutating func reset() {
        bound = initial
    }
}

extension Duration {
    fileprivate var wholeNanoseconds: Int64 {
        max(0, components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}
