/// A row of gateway.installation.
package struct InstallationID: RawRepresentable, Hashable, Sendable, Comparable {
    package let rawValue: Int64

    package init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    package static func < (a: InstallationID, b: InstallationID) -> Bool { a.rawValue < b.rawValue }
}

/// A row of gateway.chat_session; leads with its installation, as every hot key does.
package struct SessionKey: Hashable, Sendable {
    package let installation: InstallationID
    package let session: Int64

    package init(installation: InstallationID, session: Int64) {
        self.installation = installation
        self.session = session
    }
}

/// The right of this replica to write for an installation; the generation is the fencing token (invariant I7).
package struct Lease: Hashable, Sendable {
    package let installation: InstallationID
    package let generation: Int64

    package init(installation: InstallationID, generation: Int64) {
        self.installation = installation
        self.generation = generation
    }
}
