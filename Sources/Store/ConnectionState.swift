/// What the connection of an owned installation does.
package enum ConnectionState: Sendable, Equatable {
    case connecting
    case connected
    case backingOff(reason: String, retryAt: ContinuousClock.Instant)
    /// The platform refuses it until a person has changed something; looked at again from time to time.
    case refused(reason: String, retryAt: ContinuousClock.Instant)
    /// Its secret can't be had, until a person gives a key or a secret.
    case locked(reason: String)
    /// Receives nothing any more, and is about to end.
    case draining

    /// As in `gateway.installation.connection_state`, and in the metric's label.
    package enum Name: String, CaseIterable, Sendable {
        case connecting, connected, draining, locked, refused
        case backingOff = "backing_off"
    }

    package var kind: Name {
        switch self {
        case .connecting: .connecting
        case .connected: .connected
        case .backingOff: .backingOff
        case .refused: .refused
        case .locked: .locked
        case .draining: .draining
        }
    }

    package var name: String { kind.rawValue }

    package var reason: String? {
        switch self {
        case .backingOff(let reason, _), .refused(let reason, _), .locked(let reason): reason
        case .connecting, .connected, .draining: nil
        }
    }

    package var retryAt: ContinuousClock.Instant? {
        switch self {
        case .backingOff(_, let instant), .refused(_, let instant): instant
        case .connecting, .connected, .locked, .draining: nil
        }
    }
}

/// What has become of a connection, for `Repository.record`.
package struct ConnectionChange: Sendable {
    package let lease: Lease
    package let state: ConnectionState
    package let since: ContinuousClock.Instant

    package init(lease: Lease, state: ConnectionState, since: ContinuousClock.Instant) {
        self.lease = lease
        self.state = state
        self.since = since
    }
}
