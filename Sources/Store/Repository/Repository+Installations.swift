import AsyncRuntime
import Postgres

/// One line of `status`, and of `installation list`.
package struct InstallationStatus: Sendable {
    /// What a bot does, and whether anybody has it; as status_installations.sql says.
    package enum State: String, Sendable {
        case revoked, connecting, connected, refused, draining, locked, free
        case backingOff = "backing_off"
        case ownerGone = "owner_gone"
    }

    package let appID: String
    package let workspace: String
    package let agent: String
    package let runtime: String?
    package let isArchived: Bool
    package let status: String
    package let access: String
    package let state: State
    /// Why it backs off, is refused or locked.
    package let reason: String?
    /// Since when it is so, RFC 3339; nil: not known.
    package let since: String?
    package let age: Duration?
    package let retryIn: Duration?
    package let holder: String?
    /// The process is known to be gone.
    package let isHolderDead: Bool
    /// When the holder, or the last one, was heard of; RFC 3339.
    package let lastSeen: String?
    package let lastSeenAge: Duration?
    /// `config` or `command`.
    package let origin: String
    package let sealedKeyID: String?
    package let openWindows: Int
    package let queuedTasks: Int
    package let claimedTasks: Int
    package let outboxWaiting: Int
    /// How long the oldest of them has waited.
    package let outboxOldest: Duration?
    package let outboxDead: Int
    /// Of these, those of the last day.
    package let outboxDied: Int
    /// Of the bot itself.
    package let overrides: [Override]
    package let agentOverrides: [Override]
    /// Of all installations, how many need a person.
    package let needing: Int
}

/// Tasks of one runtime that wait.
package struct WaitingRuntime: Sendable {
    package let name: String
    package let queued: Int
    package let oldest: Duration
    package let claimed: Int
}

extension Repository {
    /// By app id, revoked ones too.
    /// - Parameter deadHolders: replicas that are known to be gone.
    /// - Parameter needingFirst: those that need a person stand before the others.
    package func installationStatuses(
        limit: Int, deadHolders: [String] = [], needingFirst: Bool = false
    ) async throws -> Listed<InstallationStatus> {
        let values: [PostgresValue] = [.int(Int64(limit)), .textArray(deadHolders), .bool(needingFirst)]
        return try Listed(await run(SQL.statusInstallations, values)) { row in
            func duration(_ column: String) throws -> Duration? {
                try row.optional(column).map { (ms: Int64) in .milliseconds(ms) }
            }
            let state: String = try row.value("state")
            return InstallationStatus(
                appID: try row.value("app_id"), workspace: try row.value("workspace"), agent: try row.value("agent"),
                runtime: try row.optional("runtime_id"), isArchived: try row.value("archived"),
                status: try row.value("status"), access: try row.value("access"),
                // A newer version may know others.
                state: InstallationStatus.State(rawValue: state) ?? .connecting, reason: try row.optional("reason"),
                since: try row.optional("since"), age: try duration("state_age_ms"),
                retryIn: try duration("retry_in_ms"), holder: try row.optional("lease_holder"),
                isHolderDead: try row.optional("is_holder_dead") ?? false, lastSeen: try row.optional("last_seen"),
                lastSeenAge: try duration("last_seen_ms"), origin: try row.value("origin"),
                sealedKeyID: try row.optional("sealed_key_id"), openWindows: try row.value("open_windows"),
                queuedTasks: try row.value("queued_tasks"), claimedTasks: try row.value("claimed_tasks"),
                outboxWaiting: try row.value("outbox_waiting"), outboxOldest: try duration("outbox_oldest_ms"),
                outboxDead: try row.value("outbox_dead"), outboxDied: try row.value("outbox_died"),
                overrides: try Override.all(in: row.value("overrides")),
                agentOverrides: try Override.all(in: row.value("agent_overrides")), needing: try row.value("needing"))
        }
    }

    /// Those whose tasks have waited for longest first.
    package func waitingRuntimes(limit: Int) async throws -> Listed<WaitingRuntime> {
        try Listed(await run(SQL.listWaitingRuntimes, [.int(Int64(limit))])) { row in
            WaitingRuntime(
                name: try row.value("runtime_id"), queued: try row.value("queued"),
                oldest: .milliseconds(try row.value("oldest_ms", as: Int64.self)), claimed: try row.value("claimed"))
        }
    }

    /// - Returns: what was there before: `new`, `active` or `revoked`.
    package func addInstallation(_ settings: InstallationSettings, sealedWith key: SealingKey) async throws -> String {
        let rows = try await run(
            SQL.addInstallation,
            [
                .text(settings.appID), .text(settings.workspace), .text(settings.agent),
                .text(settings.domain.absoluteString), .text(settings.locale.rawValue), .text(settings.access.rawValue),
                .bytes(key.seal(settings.appSecret, for: settings.appID, at: settings.domain.absoluteString)),
                .text(key.id),
            ])
        guard let row = rows.first else { throw PostgresError.unexpectedResult("add_installation: no row") }
        return try row.value("was")
    }

    /// - Parameter user: who gave the command.
    /// - Returns: false when there is no such active installation.
    package func revokeInstallation(_ appID: String, by user: String) async throws -> Bool {
        try await run(SQL.revokeInstallation, [.text(appID), .text("command"), .text(user)]).first?.value("is_revoked")
            ?? false
    }

    /// - Parameter user: who gave the command.
    /// - Returns: false when there is no such revoked installation.
    package func restoreInstallation(_ appID: String, by user: String) async throws -> Bool {
        try await run(SQL.restoreInstallation, [.text(appID), .text(user)]).first?.value("is_restored") ?? false
    }

    /// Takes back what commands say of an installation.
    /// - Returns: how many words there were; nil when there is no such installation.
    package func resetInstallation(_ appID: String) async throws -> Int? {
        try await run(SQL.resetInstallation, [.text(appID)]).first?.optional("overrides")
    }

    /// Seals the secret for one domain, which is the installation's from then on.
    /// - Parameter known: the domain that the row had when it was looked at.
    /// - Parameter user: who gave the command.
    /// - Returns: false when there is no such installation, or its domain is not the known one any more.
    package func setSecret(
        _ secret: String, of appID: String, at domain: String, knownAs known: String, sealedWith key: SealingKey,
        by user: String
    ) async throws -> Bool {
        let sealed = key.seal(secret, for: appID, at: domain)
        return try await !run(
            SQL.setSecret, [.text(appID), .bytes(sealed), .text(key.id), .text(domain), .text(known), .text(user)]
        ).isEmpty
    }

    /// Stores the same secret as it is sealed anew, unless somebody has changed it or its domain meanwhile.
    /// - Returns: whether it is stored.
    @discardableResult
    package func reseal(
        _ appID: String, former: [UInt8], sealed: [UInt8], keyID: String, at domain: String
    ) async throws -> Bool {
        try await !run(
            SQL.resealSecret, [.text(appID), .bytes(sealed), .text(keyID), .bytes(former), .text(domain)]
        ).isEmpty
    }

    /// Where the app's secret goes, and the secret as it is sealed; nil: there is no such installation.
    package func sealedSecret(
        of appID: String
    ) async throws -> (domain: String, sealed: [UInt8]?, keyID: String?)? {
        try await run(SQL.findSealedSecret, [.text(appID)]).first.map {
            (try $0.value("domain"), try $0.optional("sealed_secret"), try $0.optional("sealed_key_id"))
        }
    }

    /// Every sealed secret, to be sealed with another key.
    package func sealedSecrets() async throws -> [(appID: String, domain: String, sealed: [UInt8], keyID: String)] {
        try await run(SQL.listSealedSecrets, []).map {
            (
                try $0.value("app_id"), try $0.value("domain"), try $0.value("sealed_secret"),
                try $0.value("sealed_key_id")
            )
        }
    }
}
