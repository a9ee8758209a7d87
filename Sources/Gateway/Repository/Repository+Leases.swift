import AsyncRuntime
import Lark
import Postgres

/// An installation that this replica owns since now.
struct AcquiredInstallation: Sendable {
    let lease: Lease
    let appID: String
    let bot: BotIdentity
}

/// A lease that this replica still owns.
struct HeldLease: Sendable {
    let lease: Lease
    /// A replica that lives and has less than its share asks for it.
    let isWanted: Bool
}

extension Repository {
    func leaseHolders(ofApps appIDs: [String]) async throws -> [String] {
        try await run(SQL.listLeaseHolders, [.textArray(appIDs)]).map { try $0.value("lease_holder") }
    }

    /// Takes what is free of the apps, up to this replica's share, and asks the others for what is missing to it.
    /// - Parameter grace: what nobody took for so long is taken beyond the share.
    func takeLeases(
        holder: String, deadHolders: [String], appIDs: [String], ttl: Duration, grace: Duration
    ) async throws -> [AcquiredInstallation] {
        try await run(
            SQL.takeLeases,
            [.text(holder), .textArray(deadHolders), .textArray(appIDs), .interval(ttl), .interval(grace)]
        ).map { row in
            AcquiredInstallation(
                lease: try Self.lease(row), appID: try row.value("app_id"),
                bot: BotIdentity(openID: try row.optional("bot_open_id"), unionID: try row.optional("bot_union_id")))
        }
    }

    /// Renews them all.
    /// - Returns: what the holder still owns.
    func holdLeases(holder: String, ttl: Duration, within patience: Duration) async throws -> [HeldLease] {
        try await run(SQL.holdLeases, [.text(holder), .interval(ttl)], within: patience).map(Self.heldLease)
    }

    /// - Returns: what the holder owns now; nothing is renewed.
    func checkLeases(holder: String) async throws -> [HeldLease] {
        try await run(SQL.checkLeases, [.text(holder)]).map(Self.heldLease)
    }

    /// - Returns: false when it was not the holder's any more.
    @discardableResult
    func releaseLease(_ lease: Lease, holder: String) async throws -> Bool {
        let rows = try await run(
            SQL.releaseLease, [.int(lease.installation.rawValue), .int(lease.generation), .text(holder)])
        return try rows.first?.value("is_released") ?? false
    }

    func releaseLeases(holder: String) async throws {
        try await run(SQL.releaseLeases, [.text(holder)], within: .seconds(3))
    }

    func record(_ changes: [ConnectionBoard.Change], now: ContinuousClock.Instant) async throws {
        try await run(
            SQL.recordConnections,
            [
                .intArray(changes.map(\.lease.installation.rawValue)), .intArray(changes.map(\.lease.generation)),
                .textArray(changes.map(\.state.name)), .textArray(changes.map(\.state.reason)),
                .intArray(changes.map { $0.since.duration(to: now).milliseconds }),
                .intArray(changes.map { $0.state.retryAt.map { now.duration(to: $0).milliseconds } }),
            ])
    }

    func saveBotIdentity(_ bot: BotIdentity, of installation: InstallationID) async throws {
        try await run(
            SQL.saveBotIdentity, [.int(installation.rawValue), .text(bot.openID), .text(bot.unionID)])
    }

    private static func heldLease(_ row: Row) throws -> HeldLease {
        HeldLease(lease: try lease(row), isWanted: try row.optional("is_wanted") ?? false)
    }

    private static func lease(_ row: Row) throws -> Lease {
        Lease(
            installation: InstallationID(rawValue: try row.value("installation_id")),
            generation: try row.value("generation"))
    }
}
