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
    private var request: Task<Token, any Error>?

    package init(
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        fetch: @escaping @Sendable () async throws -> Token
    ) {
        self.now = now
        self.fetch = fetch
    }

    package func token() async throws -> String {
        if let cached, now() < cached.until { return cached.value }
        let request = self.request ?? Task { [fetch] in try await fetch() }
        self.request = request
        let asked = now()
        let result = await request.result
        // Another waiter may have tidied up already.
        if self.request == request {
            self.request = nil
            if case .success(let token) = result {
                // An `expire` of under 120 s would have us ask for every call.
                cached = (token.value, asked + max(token.lifetime, .seconds(120)) - .seconds(60))
            }
        }
        return try result.get().value
    }

    /// The platform refused this token: the next call asks for another.
    package func drop(_ value: String) {
        if cached?.value == value { cached = nil }
    }
}
