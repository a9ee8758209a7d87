import AsyncRuntime

/// What a request is for. Each purpose has slots of its own, so that none waits behind another.
package enum RequestPurpose: Sendable, CaseIterable {
    /// A reply or a notice.
    case sending
    /// A token, which all other calls of an app need.
    case token
    /// Where to connect, and who the bot is.
    case connecting
    /// What was said in a group before.
    case context
    /// What is shown beside a run: reactions, cards of progress.
    case companion
}

/// How many requests of each purpose go on at the same time; each keeps a thread busy, some 150 at the worst.
///
/// One domain alone gets half of a purpose's slots, so 24 sends; an app 16, as all of a gateway had before: at 200 ms a
/// message, the platform's 50 a second need 10. A domain that gives no answer keeps one slot of each purpose.
struct RequestLimits: Sendable {
    private let sending = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 48, perApp: 16, maxWaiting: 1_024))
    // An app asks for one token at a time.
    private let token = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 24, perApp: 2, maxWaiting: 4_096))
    // The handshakes that these are part of are bounded by the same numbers.
    private let connecting = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 40, perApp: 2, maxWaiting: 4_096))
    private let context = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 16, perApp: 8, maxWaiting: 256))
    private let companion = ConcurrencyLimit(ConcurrencyLimit.Rules(total: 24, perApp: 8, maxWaiting: 256))

    subscript(_ purpose: RequestPurpose) -> ConcurrencyLimit {
        switch purpose {
        case .sending: sending
        case .token: token
        case .connecting: connecting
        case .context: context
        case .companion: companion
        }
    }
}
