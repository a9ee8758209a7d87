import AsyncRuntime
import Lark
import Postgres

/// What this replica needs to connect an installation that it owns.
package struct InstallationRow: Sendable, Equatable {
    package let lease: Lease
    package let appID: String
    /// Grows with every change that the connection has to know of.
    package let revision: Int64
    package let domain: String
    package let sealedSecret: [UInt8]?
    package let sealedKeyID: String?
    package let bot: BotIdentity
}

/// A lease that this replica still owns.
package struct HeldLease: Sendable {
    package let lease: Lease
    package let revision: Int64
    /// A replica that lives and has less than its share asks for it.
    package let isWanted: Bool
}

extension Repository {
    package func leaseHolders() async throws -> [String] {
        try await run(SQL.listLeaseHolders, []).map { try $0.value("lease_holder") }
    }

    /// Takes what is free of what this replica can connect, up to its share, and asks the others for what is missing to
    /// it.
    /// - Parameter grace: what nobody took for so long is taken beyond the share.
    /// - Parameter used: what the holder has already.
    package func takeLeases(
        holder: String, deadHolders: [String], appIDs: [String], keyIDs: [String] = [], used: [InstallationID] = [],
        ttl: Duration, grace: Duration
    ) async throws -> [InstallationRow] {
        try await run(
            SQL.takeLeases,
            [
                .text(holder), .textArray(deadHolders), .textArray(appIDs), .textArray(keyIDs),
                .intArray(used.map(\.rawValue)), .interval(ttl), .interval(grace),
            ]
        ).map(Self.installationRow)
    }

    package func loadInstallations(_ ids: [InstallationID]) async throws -> [InstallationRow] {
        try await run(SQL.loadInstallations, [.intArray(ids.map(\.rawValue))]).map(Self.installationRow)
    }

    /// Notes in the rows that nobody holds that the secret is locked, for `status`.
    /// - Returns: active installations that nobody with these keys can connect, and the key of each.
    package func noteLockedSecrets(keyIDs: [String]) async throws -> [(appID: String, keyID: String)] {
        try await run(SQL.noteLockedSecrets, [.textArray(keyIDs)]).map {
            (try $0.value("app_id"), try $0.value("sealed_key_id"))
        }
    }

    /// Renews them all.
    /// - Returns: what the holder still owns.
    package func holdLeases(holder: String, ttl: Duration, within patience: Duration) async throws -> [HeldLease] {
        try await run(SQL.holdLeases, [.text(holder), .interval(ttl)], within: patience).map(Self.heldLease)
    }

    /// - Returns: what the holder owns now; nothing is renewed.
    package func checkLeases(holder: String) async throws -> [HeldLease] {
        try await run(SQL.checkLeases, [.text(holder)]).map(Self.heldLease)
    }

    /// - Returns: false when it was not the holder's any more.
    @discardableResult
    package func releaseLease(_ lease: Lease, holder: String) async throws -> Bool {
        let rows = try await run(
            SQL.releaseLease, [.int(lease.installation.rawValue), .int(lease.generation), .text(holder)])
        return try rows.first?.value("is_released") ?? false
    }

    package func releaseLeases(holder: String) async throws {
        try await run(SQL.releaseLeases, [.text(holder)], within: .seconds(3))
    }

    package func record(_ changes: [ConnectionChange], now: ContinuousClock.Instant) async throws {
        try await run(
            SQL.recordConnections,
            [
                .intArray(changes.map(\.lease.installation.rawValue)), .intArray(changes.map(\.lease.generation)),
                .textArray(changes.map(\.state.name)), .textArray(changes.map(\.state.reason)),
                .intArray(changes.map { $0.since.duration(to: now).milliseconds }),
                .intArray(changes.map { $0.state.retryAt.map { now.duration(to: $0).milliseconds } }),
            ])
    }

    package func saveBotIdentity(_ bot: BotIdentity, of installation: InstallationID) async throws {
        try await run(
            SQL.saveBotIdentity, [.int(installation.rawValue), .text(bot.openID), .text(bot.unionID)])
    }

    private static func heldLease(_ row: Row) throws -> HeldLease {
        HeldLease(
            lease: try lease(row), revision: try row.value("revision"), isWanted: try row.optional("is_wanted") ?? false
        )
    }

    private static func installationRow(_ row: Row) throws -> InstallationRow {
        InstallationRow(
            lease: try lease(row), appID: try row.value("app_id"), revision: try row.value("revision"),
            domain: try row.value("domain"), sealedSecret: try row.optional("sealed_secret"),
            sealedKeyID: try row.optional("sealed_key_id"),
            bot: BotIdentity(openID: try row.optional("bot_open_id"), unionID: try row.optional("bot_union_id")))
    }

    private static func lease(_ row: Row) throws -> Lease {
        Lease(
            installation: InstallationID(rawValue: try row.value("installation_id")),
            generation: try row.value("generation"))
    }
}
