import AsyncRuntime

/// The tenant access token of one app: one request at a time, reused until 60 s before its end.
package actor TenantTokens {
    package struct Token: Sendable {
        package let value: String
        /// By the platform's word.
        package let lifetime: Duration

        package init(value: String, lifetime: Duration) {
            self.value = value
            self.lifetime = lifetime
        }
    }

    private let fetch: @Sendable () async throws -> Token
    private let now: @Sendable () -> ContinuousClock.Instant
    private var cached: (value: String, until: ContinuousClock.Instant)?
    private var request: Request?

    private final class Request: Sendable {
        let isOver = AsyncEvent()
        let result = Mutex<Result<Token, any Error>?>(nil)
    }

    package init(
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        fetch: @escaping @Sendable () async throws -> Token
    ) {
        self.now = now
        self.fetch = fetch
    }

    /// - Throws: what the request throws; `CancellationError` at once, while others still wait for the request.
    package func token() async throws -> String {
        if let cached, now() < cached.until { return cached.value }
        let request = self.request ?? begin()
        await request.isOver.wait()
        try Task.checkCancellation()
        guard let result = request.result.withLock({ $0 }) else { throw CancellationError() }
        return try result.get().value
    }

    private func begin() -> Request {
        let request = Request()
        self.request = request
        let asked = now()
        // Of nobody who waits for it: it has deadlines of its own.
        Task { [fetch] in
            do {
                end(request, .success(try await fetch()), asked)
            } catch {
                end(request, .failure(error), asked)
            }
        }
        return request
    }

    private func end(_ request: Request, _ result: Result<Token, any Error>, _ asked: ContinuousClock.Instant) {
        self.request = nil
        if case .success(let token) = result {
            // An `expire` of under 120 s would have us ask for every call.
            cached = (token.value, asked + max(token.lifetime, .seconds(120)) - .seconds(60))
        }
        request.result.withLock { $0 = result }
        request.isOver.set()
    }

    /// The platform refused this token: the next call asks for another.
    package func drop(_ value: String) {
        if cached?.value == value { cached = nil }
    }
}
