/// What is known of a link.
package struct PairingLinkState: Sendable, Equatable {
    package enum State: String, Sendable { case open, used, expired, blocked, revoked }

    package let state: State
    package let appID: String
    package let openID: String
    package let agent: String
    package let workspace: String
    package let locale: InstallationSettings.Locale
    /// Who its person is already.
    package let member: String?
    /// How many wrong codes it bears yet.
    package let triesLeft: Int
}
