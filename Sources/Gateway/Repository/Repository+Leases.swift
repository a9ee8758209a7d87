import AsyncRuntime
import Lark
import Postgres

/// An installation that this replica owns since now.
struct AcquiredInstallation: Sendable {
    let lease: Lease
    let appID: String
    let bot: BotIdentity
}

extension Repository {
    func leaseHolders(ofApps appIDs: [String]) async throws -> [String] {
        try await run(SQL.listLeaseHolders, [.textArray(appIDs)]).map { try $0.value("lease_holder") }
    }

    func acquireLeases(
        holder: String, deadHolders: [String], appIDs: [String], ttl: Duration
    ) async throws -> [AcquiredInstallation] {
        try await run(
            SQL.acquireLeases, [.text(holder), .textArray(deadHolders), .textArray(appIDs), .interval(ttl)]
        ).map { row in
            AcquiredInstallation(
                lease: try Self.lease(row), appID: try row.value("app_id"),
                bot: BotIdentity(openID: try row.optional("bot_open_id"), unionID: try row.optional("bot_union_id")))
        }
    }

    /// - Returns: what the holder still owns.
    func renewLeases(holder: String, ttl: Duration, within patience: Duration) async throws -> Set<Lease> {
        Set(try await run(SQL.renewLeases, [.text(holder), .interval(ttl)], within: patience).map(Self.lease))
    }

    func releaseLeases(holder: String) async throws {
        try await run(SQL.releaseLeases, [.text(holder)], within: .seconds(3))
    }

    func saveBotIdentity(_ bot: BotIdentity, of installation: InstallationID) async throws {
        try await run(
            SQL.saveBotIdentity, [.int(installation.rawValue), .text(bot.openID), .text(bot.unionID)])
    }

    private static func lease(_ row: Row) throws -> Lease {
        Lease(
            installation: InstallationID(rawValue: try row.value("installation_id")),
            generation: try row.value("generation"))
    }
}
