/// What the connection of an owned installation does.
enum ConnectionState: Sendable, Equatable {
    case connecting
    case connected
    case backingOff(reason: String, retryAt: ContinuousClock.Instant)
    /// The platform refuses it until a person has changed something; looked at again from time to time.
    case refused(reason: String, retryAt: ContinuousClock.Instant)
    /// Receives nothing any more, and is about to end.
    case draining

    /// As in `gateway.installation.connection_state`, and in the metric's label.
    enum Name: String, CaseIterable, Sendable {
        case connecting, connected, draining, refused
        case backingOff = "backing_off"
    }

    var kind: Name {
        switch self {
        case .connecting: .connecting
        case .connected: .connected
        case .backingOff: .backingOff
        case .refused: .refused
        case .draining: .draining
        }
    }

    var name: String { kind.rawValue }

    var reason: String? {
        switch self {
        case .backingOff(let reason, _), .refused(let reason, _): reason
        case .connecting, .connected, .draining: nil
        }
    }

    var retryAt: ContinuousClock.Instant? {
        switch self {
        case .backingOff(_, let instant), .refused(_, let instant): instant
        case .connecting, .connected, .draining: nil
        }
    }
}
