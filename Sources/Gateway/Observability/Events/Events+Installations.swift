import Lark
import Store

/// Installations: configuration, secrets, leases, bots.
extension LogEvent {
    /// - Parameter applied: the keys whose change counts from now on.
    /// - Parameter credentialsAreOld: there are secrets of `credential:`, and none of them changed.
    package static func configurationReloaded(
        installations: Int, applied: [String], keysForRestart: [String], credentialsAreOld: Bool
    ) -> Self {
        Self(
            keysForRestart.isEmpty ? .info : .warning, "configuration.reloaded",
            [
                ("installations", .count(installations)),
                ("applied", applied.isEmpty ? nil : .text(applied.joined(separator: " "))),
                ("needs_restart", keysForRestart.isEmpty ? nil : .text(keysForRestart.joined(separator: " "))),
                (
                    "credentials",
                    credentialsAreOld
                        ? .text("unchanged: systemd hands credentials out at the start; restart to take a new one")
                        : nil
                ),
            ])
    }

    /// A file with a secret holds another one, which is used from now on, or needs a restart.
    package static func secretChanged(keys: [String], needsRestart: Bool) -> Self {
        Self(
            needsRestart ? .warning : .info, "secret.changed",
            [
                ("keys", .text(keys.joined(separator: " "))),
                ("hint", needsRestart ? .text("restart to use it; until then the old one is used") : nil),
            ])
    }

    /// A file with a secret is gone, empty, or not what it should be.
    package static func secretUnusable(keys: [String], file: String, problem: String) -> Self {
        Self(
            .warning, "secret.unusable",
            [
                ("keys", .text(keys.joined(separator: " "))), ("file", .text(file)), ("problem", .text(problem)),
                ("hint", .text("the old secret is used until the file is right again; a restart would need it")),
            ])
    }

    /// Others on the machine may read or change a file of the configuration.
    package static func configurationExposed(file: String, problem: String, hint: String) -> Self {
        Self(
            .warning, "configuration.exposed",
            [("file", .text(file)), ("problem", .text(problem)), ("hint", .text(hint))])
    }

    package static func configurationWarned(key: String, problem: String) -> Self {
        Self(.warning, "configuration.warned", [("key", .text(key)), ("problem", .text(problem))])
    }

    package static func configurationRefused(_ error: any Error) -> Self {
        Self(
            .error, "configuration.refused",
            [
                ("error", .text("\(error)")),
                (
                    "hint",
                    .text(
                        (error as? RevokesEveryBot).map { "everything goes on as before; \($0.hint)" }
                            ?? "everything goes on as before; correct the file, and reload")
                ),
            ])
    }

    /// What the configuration file changed in the database.
    static func configurationApplied(_ change: ConfigurationChange) -> Self {
        Self(
            change.change == "revoked" ? .warning : .info, "\(change.kind).\(change.change)",
            [(change.kind == "agent" ? "agent" : "app_id", .text(change.name))])
    }

    /// What an administrator did by command.
    static func commandDone(_ command: AdministratorCommand) -> Self {
        Self(
            .info, "command.done",
            [("command", .text(command.command)), ("subject", .text(command.subject)), ("by", .text(command.user))])
    }

    /// - Returns: nil: commands say what the file says.
    static func overridden(_ thing: OverriddenThing) -> Self? {
        let hiding = thing.overrides.filter(\.hides)
        guard let newest = hiding.min(by: { $0.age < $1.age }) else { return nil }
        let isAgent = thing.kind == "agent"
        return Self(
            .info, "\(thing.kind).overridden",
            [
                (isAgent ? "agent" : "app_id", .text(thing.name)),
                ("settings", .text(hiding.map(\.setting).joined(separator: " "))),
                ("by", .text(newest.user ?? "unknown")), ("since", .text(newest.since)),
                (
                    "hint",
                    .text(
                        "a command's word counts before the file's, until "
                            + "lark-gateway \(isAgent ? "agent" : "installation") reset \(thing.name)")
                ),
            ])
    }

    /// Nobody here can connect it.
    /// - Parameter hint: nil: the key is missing.
    static func secretLocked(appID: String, reason: String, hint: String? = nil) -> Self {
        Self(
            .error, "installation.secret_locked",
            [
                ("app_id", .text(appID)), ("reason", .text(reason)),
                ("hint", .text(hint ?? "give the key in sealing.key or sealing.previous, or set the secret anew")),
            ])
    }

    /// It was sealed by a version that bound it to no domain.
    static func secretResealed(appID: String, domain: String) -> Self {
        Self(
            .info, "installation.secret_resealed",
            [("app_id", .text(appID)), ("domain", .text(DomainText.shown(domain)))])
    }

    static func domainChanged(appID: String, from old: String, to new: String) -> Self {
        Self(
            .warning, "installation.domain_changed",
            [
                ("app_id", .text(appID)), ("old_domain", .text(DomainText.shown(old))),
                ("new_domain", .text(DomainText.shown(new))),
                ("hint", .text("a secret goes only to the domain that it was given for; was it you who changed this?")),
            ])
    }

    static func credentialsChanged(appID: String) -> Self {
        Self(.info, "installation.credentials_changed", [("app_id", .text(appID))])
    }

    static func leaseAcquired(_ lease: Lease, appID: String) -> Self {
        Self(.info, "lease.acquired", leaseFields(lease, appID))
    }

    static func leaseLost(_ lease: Lease, appID: String, reason: String) -> Self {
        Self(.warning, "lease.lost", leaseFields(lease, appID) + [("reason", .text(reason))])
    }

    static func leaseHandedOver(_ lease: Lease, appID: String) -> Self {
        Self(.info, "lease.handed_over", leaseFields(lease, appID))
    }

    static func leaseHeldElsewhere(appIDs: [String]) -> Self {
        Self(.info, "lease.held_elsewhere", [("app_ids", .text(appIDs.joined(separator: " ")))])
    }

    private static func leaseFields(_ lease: Lease, _ appID: String) -> [(key: String, value: Value?)] {
        [
            ("app_id", .text(appID)), ("installation_id", .installation(lease.installation)),
            ("lease_generation", .integer(lease.generation)),
        ]
    }

    static func botIdentityUnknown(appID: String, _ error: any Error, isKnown: Bool) -> Self {
        // A refused token has an error of its own (`installation.refused`).
        let needsPerson = (error as? OpenAPIError).map { $0.call == "bot_info" && $0.remedy == .giveUp } ?? false
        let hint =
            if isKnown {
                "what is known of the bot is used until this works"
            } else if needsPerson {
                "turn on the bot ability, and what the error names, in the developer console and publish; until then group messages that mention somebody are acked 500"
            } else {
                "group messages that mention somebody are acked 500, and come again, until this works"
            }
        return Self(
            needsPerson ? .error : .warning, "bot_identity.unknown",
            [("app_id", .text(appID)), ("error", .text("\(error)")), ("hint", .text(hint))])
    }

    static func messageDeferred(appID: String) -> Self {
        Self(
            .warning, "message.deferred",
            [
                ("app_id", .text(appID)),
                ("reason", .text("it mentions somebody, and who the bot is is not known yet")),
                ("hint", .text("acked 500: the platform delivers it again; see bot_identity.unknown")),
            ])
    }

    static func botIdentified(appID: String, _ bot: BotIdentity) -> Self {
        Self(
            .info, "bot_identity.found",
            [
                ("app_id", .text(appID)), ("bot_open_id", bot.openID.map { .text($0) }),
                ("bot_union_id", bot.unionID.map { .text($0) }),
            ])
    }
}
