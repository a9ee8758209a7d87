/// Who claims a task, and the secret that its claims are made with.
package struct WorkerIdentity: Sendable, Equatable {
    /// No other worker has it at the same time. It stands in logs and in the table of tasks.
    package let name: String
    /// Only who knows it can extend, complete, fail or return the claim: at least 16 characters, or nil for a database
    /// role that has the rights of the schema's owner.
    package let token: String?

    package init(name: String, token: String? = nil) {
        self.name = name
        self.token = token
    }

    /// 256 random bits.
    package static func randomToken() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let word = String(random.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - word.count) + word
        }.joined()
    }
}
