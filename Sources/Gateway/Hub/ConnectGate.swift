/// Lets a bounded number of handshakes go on at the same time.
actor ConnectGate {
    private var free: Int
    private var waiters: [CheckedContinuation<Void, Never>] = []

    init(limit: Int) {
        free = limit
    }

    func pass<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
        if free > 0 {
            free -= 1
        } else {
            // Whoever is inside has deadlines, so this ends.
            await withCheckedContinuation { waiters.append($0) }
        }
        defer {
            if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
        }
        try Task.checkCancellation()
        return try await body()
    }
}
