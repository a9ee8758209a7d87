import AsyncRuntime

/// Makes senders wait until the platform's rates allow their messages.
final class SendPacer: Sendable {
    /// What would have to wait for longer is to come again instead of standing in the way of others.
    struct HeldBack: Error, CustomStringConvertible {
        let wait: Duration

        var description: String { "held back by the rate limits of the app or the chat" }
    }

    private let rates: Mutex<SendRates>

    private static let patience: Duration = .seconds(5)

    init(_ limits: SendLimits) {
        rates = Mutex(SendRates(limits))
    }

    /// Returns when a message may be sent, which it is then.
    /// - Throws: `HeldBack`, `CancellationError`.
    func pace(_ installation: InstallationID, to chat: String) async throws {
        let began = ContinuousClock.now
        while let next = rates.withLock({ $0.take(for: installation, to: chat, .now) }) {
            guard began.duration(to: next) <= Self.patience else {
                throw HeldBack(wait: ContinuousClock.now.duration(to: next))
            }
            try await Task.sleep(until: next, clock: .continuous)
        }
    }

    /// The platform said that the app is too fast.
    func hold(_ installation: InstallationID, for wait: Duration) {
        rates.withLock { $0.hold(installation, until: .now + wait) }
    }

    /// The apps that may send nothing now, and how long the first of them has to wait.
    func held() -> (installations: [InstallationID], wait: Duration?) {
        let now = ContinuousClock.now
        let held = rates.withLock { $0.held(now) }
        return (held.installations, held.until.map { now.duration(to: $0) })
    }
}
