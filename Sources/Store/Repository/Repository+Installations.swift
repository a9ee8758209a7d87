import AsyncRuntime
import Postgres

/// One line of `status`.
package struct InstallationStatus: Sendable {
    package let appID: String
    package let workspace: String
    package let agent: String
    package let runtime: String?
    package let isArchived: Bool
    package let status: String
    package let access: String
    package let holder: String?
    package let isHeld: Bool
    /// What the holder says about the connection; nil where nobody holds it.
    package let connection: String?
    package let connectionReason: String?
    /// How long it has been so.
    package let connectionAge: Duration?
    package let connectionRetryIn: Duration?
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
    /// Of the bot itself.
    package let overrides: [Override]
    package let agentOverrides: [Override]
}

extension Repository {
    /// By app id, revoked ones too.
    package func installationStatuses(limit: Int) async throws -> Listed<InstallationStatus> {
        try Listed(await run(SQL.statusInstallations, [.int(Int64(limit))])) { row in
            InstallationStatus(
                appID: try row.value("app_id"), workspace: try row.value("workspace"), agent: try row.value("agent"),
                runtime: try row.optional("runtime_id"), isArchived: try row.value("archived"),
                status: try row.value("status"), access: try row.value("access"),
                holder: try row.optional("lease_holder"), isHeld: try row.value("is_held"),
                connection: try row.optional("connection_state"),
                connectionReason: try row.optional("connection_reason"),
                connectionAge: try row.optional("connection_age_ms").map { (ms: Int64) in .milliseconds(ms) },
                connectionRetryIn: try row.optional("connection_retry_in_ms").map { (ms: Int64) in .milliseconds(ms) },
                origin: try row.value("origin"), sealedKeyID: try row.optional("sealed_key_id"),
                openWindows: try row.value("open_windows"), queuedTasks: try row.value("queued_tasks"),
                claimedTasks: try row.value("claimed_tasks"), outboxWaiting: try row.value("outbox_waiting"),
                outboxOldest: try row.optional("outbox_oldest_ms").map { (ms: Int64) in .milliseconds(ms) },
                outboxDead: try row.value("outbox_dead"),
                overrides: try Override.all(in: row.value("overrides")),
                agentOverrides: try Override.all(in: row.value("agent_overrides")))
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
