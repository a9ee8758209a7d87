import AsyncRuntime
import Store

/// Makes senders wait until the platform's rates allow their messages, and until a platform that does not answer may be
/// tried again.
final class SendPacer: Sendable {
    /// What would have to wait for longer is to come again instead of standing in the way of others.
    struct HeldBack: Error, CustomStringConvertible {
        let wait: Duration

        var description: String {
            "held back by the rate limits of the app or the chat, for replies to others, or until the platform answers"
        }
    }

    private struct State {
        var rates: SendRates
        var silent = SilentApps()
    }

    private let state: Mutex<State>

    private static let patience: Duration = .seconds(5)
    /// Of what is over the share of its purpose.
    private static let shortestHold: Duration = .seconds(1)

    init(_ limits: SendLimits) {
        state = Mutex(State(rates: SendRates(limits)))
    }

    /// Takes other limits, from the next message on. Who waits already goes on at the time that it was told.
    func update(_ limits: SendLimits) {
        state.withLock { $0.rates.update(limits, .now) }
    }

    /// Returns when a message may be sent, which it is then.
    /// - Throws: `HeldBack`, `CancellationError`.
    func pace(
        _ installation: InstallationID, to chat: String, as purpose: SendRates.Purpose = .reply
    ) async throws {
        let began = ContinuousClock.now
        while true {
            switch take(installation, chat, purpose, .now) {
            case .taken: return
            case .wait(let next):
                guard began.duration(to: next) <= Self.patience else {
                    throw HeldBack(wait: ContinuousClock.now.duration(to: next))
                }
                try await Task.sleep(until: next, clock: .continuous)
            case .shareIsUsed(let next):
                // At once: who waits here keeps one of the places that replies need.
                throw HeldBack(wait: max(Self.shortestHold, ContinuousClock.now.duration(to: next)))
            }
        }
    }

    private func take(
        _ installation: InstallationID, _ chat: String, _ purpose: SendRates.Purpose, _ now: ContinuousClock.Instant
    ) -> SendRates.Answer {
        state.withLock { state in
            if let until = state.silent.heldUntil(installation, now) { return .wait(until: until) }
            return state.rates.take(for: installation, to: chat, as: purpose, now)
        }
    }

    /// The platform said that the app is too fast.
    func hold(_ installation: InstallationID, for wait: Duration) {
        state.withLock { $0.rates.hold(installation, until: .now + wait) }
    }

    /// The platform answered a message of the app.
    func answered(_ installation: InstallationID) {
        state.withLock { $0.silent.answered(installation, .now) }
    }

    /// It did not answer a message that was on its way since then.
    func unanswered(_ installation: InstallationID, since began: ContinuousClock.Instant) {
        state.withLock { $0.silent.unanswered(installation, since: began, .now) }
    }

    /// The platform does not answer the app's messages.
    func isSilent(_ installation: InstallationID) -> Bool {
        state.withLock { $0.silent.isSilent(installation) }
    }

    /// Who may not send as they like.
    struct Held: Sendable {
        /// They may send nothing now.
        let installations: [InstallationID]
        /// How long the first of them has to wait.
        let wait: Duration?
        /// They may send one message at a time, to find out whether the platform answers.
        let probing: Set<InstallationID>
    }

    func held() -> Held {
        let now = ContinuousClock.now
        let (rates, silent) = state.withLock { ($0.rates.held(now), $0.silent.all(now)) }
        return Held(
            installations: rates.installations + silent.held.keys,
            wait: ([rates.until].compactMap { $0 } + silent.held.values).min().map { now.duration(to: $0) },
            probing: Set(silent.probing))
    }
}
