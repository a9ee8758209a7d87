/// What is known of a link.
package struct PairingLinkState: Sendable, Equatable {
    package enum State: String, Sendable { case open, used, expired, blocked, revoked }

    let state: State
    let appID: String
    let openID: String
    let agent: String
    let workspace: String
    let locale: InstallationSettings.Locale
    /// Who its person is already.
    let member: String?
    /// How many wrong codes it bears yet.
    let triesLeft: Int
}
