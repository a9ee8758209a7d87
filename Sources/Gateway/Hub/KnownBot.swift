import AsyncRuntime
import Lark

/// Who the bot of an installation is, as far as is known by now: read for every event, learned in the background.
final class KnownBot: Sendable {
    private let known: Mutex<BotIdentity>

    init(_ identity: BotIdentity) {
        known = Mutex(identity)
    }

    var identity: BotIdentity { known.withLock { $0 } }

    /// What is unknown now does not overwrite what was known.
    func learn(_ found: BotIdentity) {
        known.withLock { known in
            known = BotIdentity(openID: found.openID ?? known.openID, unionID: found.unionID ?? known.unionID)
        }
    }
}
