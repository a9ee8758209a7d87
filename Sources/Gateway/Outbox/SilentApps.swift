import Store

/// The apps whose messages the platform does not answer, and when each may try again: a wait that doubles from one
/// second to a minute while it goes on, ended by the first answer. Pure: time comes from outside.
struct SilentApps: Sendable {
    typealias Instant = ContinuousClock.Instant

    private struct Silence {
        /// One after another. What was sent at the same time counts once.
        var failures = 0
        /// When the last one of them ended.
        var since: Instant
        var until: Instant
    }

    private var silences: [InstallationID: Silence] = [:]
    private var lastAnswers: [InstallationID: Instant] = [:]

    private static let longest: Duration = .seconds(60)
    /// What is remembered of apps that answer.
    private static let most = 4_096

    /// The platform answered, whatever it said.
    mutating func answered(_ app: InstallationID, _ now: Instant) {
        silences[app] = nil
        if lastAnswers.count >= Self.most { lastAnswers = lastAnswers.filter { $0.value + Self.longest > now } }
        lastAnswers[app] = now
    }

    /// A message that was on its way since `began` got no answer. One that is slow, while others of its app are
    /// answered, says nothing about the app.
    mutating func unanswered(_ app: InstallationID, since began: Instant, _ now: Instant) {
        if let answer = lastAnswers[app], answer > began { return }
        var silence = silences[app] ?? Silence(since: began, until: began)
        guard began >= silence.since else { return }
        let wait = min(Self.longest, .seconds(1 << min(silence.failures, 6)))
        silence.failures += 1
        (silence.since, silence.until) = (now, now + wait)
        silences[app] = silence
    }

    /// Its next message is a probe: one at a time.
    func isSilent(_ app: InstallationID) -> Bool { silences[app] != nil }

    /// Until when it sends nothing; nil: it may.
    func heldUntil(_ app: InstallationID, _ now: Instant) -> Instant? {
        guard let until = silences[app]?.until, until > now else { return nil }
        return until
    }

    /// The apps that may send a probe now, and those that may send nothing.
    func all(_ now: Instant) -> (probing: [InstallationID], held: [InstallationID: Instant]) {
        let held = silences.compactMapValues { $0.until > now ? $0.until : nil }
        return (silences.keys.filter { held[$0] == nil }, held)
    }
}
