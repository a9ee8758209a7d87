import AsyncRuntime
import Lark

/// Who the bot of an installation is, as far as is known by now: read for every event, learned in the background.
final class KnownBot: Sendable {
    private struct State {
        var identity: BotIdentity
        /// A message has come that could not be judged without it.
        var isAwaited = false
    }

    private let state: Mutex<State>

    init(_ identity: BotIdentity) {
        state = Mutex(State(identity: identity))
    }

    var identity: BotIdentity { state.withLock { $0.identity } }

    /// What is unknown now does not overwrite what was known.
    func learn(_ found: BotIdentity) {
        state.withLock { state in
            let known = state.identity
            state.identity = BotIdentity(
                openID: found.openID ?? known.openID, unionID: found.unionID ?? known.unionID)
        }
    }

    /// A message can't be judged without the identity.
    /// - Returns: whether it is the first one.
    func isFirstToWait() -> Bool {
        state.withLock { state in
            defer { state.isAwaited = true }
            return !state.isAwaited
        }
    }
}
