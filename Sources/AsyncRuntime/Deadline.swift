/// An instant of the monotonic clock by which something must be done. Made once, where the wait begins, and handed
/// down; never restarted by a layer below.
package struct Deadline: Sendable, Comparable {
    package let instant: ContinuousClock.Instant

    package init(_ instant: ContinuousClock.Instant) {
        self.instant = instant
    }

    package static func after(_ duration: Duration) -> Deadline {
        Deadline(ContinuousClock.now.advanced(by: duration))
    }

    /// What is left; negative once it has passed.
    package var remaining: Duration { ContinuousClock.now.duration(to: instant) }
    package var hasPassed: Bool { remaining <= .zero }

    package static func < (a: Deadline, b: Deadline) -> Bool { a.instant < b.instant }
}

/// A wait that was not over in time.
package struct DeadlineExceeded: Error, CustomStringConvertible {
    package let operation: String

    package init(operation: String) {
        self.operation = operation
    }

    package var description: String { "\(operation): no answer in time" }
}

/// Runs `body` until `deadline`, then cancels it and throws `DeadlineExceeded`. It waits until the cancelled `body`
/// returns: a continuation in there without an `onCancel` hangs it.
package func withDeadline<T: Sendable>(
    _ deadline: Deadline, operation: String, _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    try await withThrowingTaskGroup(of: T.self) { group in
        defer { group.cancelAll() }
        group.addTask { try await body() }
        group.addTask {
            await Alarm.wait(until: deadline)
            try Task.checkCancellation()
            throw DeadlineExceeded(operation: operation)
        }
        guard let first = try await group.next() else { throw CancellationError() }
        return first
    }
}
