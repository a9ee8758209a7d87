import Store

/// What the pairing page shows.
enum PairingView: Sendable, Equatable {
    /// Asks for an invitation's code.
    case form(PairingLinkState, Problem?)
    /// Shows the code for `member approve`, and looks again by itself.
    case waiting(PairingLinkState, approvalCode: String)
    /// The person is a member.
    case done(PairingLinkState, member: String)
    /// Nothing can be done here.
    case ended(Ending)

    /// Why a code did not do.
    enum Problem: Sendable, Equatable {
        case notACode
        case wrongCode
        case invitationUsed
        case invitationExpired
        /// The invitation is for somebody else.
        case wrongPerson
        /// The invited member has this bot already, with another account.
        case memberTaken
    }

    enum Ending: Sendable, Equatable {
        case unknown
        case used
        case expired
        case blocked
        case revoked
        case tooManyRequests
        case unavailable
        case badRequest
    }

    /// The status code of HTTP that goes with it.
    var status: Int {
        switch self {
        case .form(_, nil), .waiting, .done: 200
        case .form: 422
        case .ended(.unknown): 404
        case .ended(.used), .ended(.expired), .ended(.blocked), .ended(.revoked): 410
        case .ended(.tooManyRequests): 429
        case .ended(.unavailable): 503
        case .ended(.badRequest): 400
        }
    }
}
