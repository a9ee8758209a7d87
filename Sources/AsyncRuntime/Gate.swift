/// Lets a bounded number of operations go on at the same time; the others wait in order.
package actor Gate {
    private var free: Int
    private var waiters: [CheckedContinuation<Void, Never>] = []

    package init(limit: Int) {
        free = limit
    }

    /// - Parameter body: has deadlines of its own, so the wait for it ends.
    package func pass<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiters.append($0) }
        }
        defer {
            if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
        }
        try Task.checkCancellation()
        return try await body()
    }
}
