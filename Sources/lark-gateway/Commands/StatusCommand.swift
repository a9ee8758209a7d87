import AsyncRuntime
import Configuration
import Gateway
import Output
import Postgres
import Store

/// `status`: what stands in the database.
enum StatusCommand {
    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config", "limit"])
        try arguments.refusePositional()
        let limit = try arguments.limit()
        let configuration = try arguments.loadConfiguration(for: .database)
        return try await Database.withRepository(configuration) { repository in
            show(try await repository.installationStatuses(limit: limit))
            return ExitCode.done
        }
    }

    private static func show(_ installations: Listed<InstallationStatus>) {
        let head = [
            "APP", "WORKSPACE/AGENT", "RUNTIME", "STATE", "WINDOWS", "QUEUED", "CLAIMED", "OUTBOX", "OLDEST", "DEAD",
        ]
        Terminal.say(installations, head) { row in
            [
                row.appID, "\(row.workspace)/\(row.agent)",
                row.isArchived ? "archived" : row.runtime ?? "offline",
                row.status == "revoked" ? "revoked" : row.connection ?? (row.isHeld ? "owned" : "free"),
                "\(row.openWindows)", "\(row.queuedTasks)", "\(row.claimedTasks)", "\(row.outboxWaiting)",
                row.outboxOldest.map { "\(Int($0.seconds))s" } ?? "-", "\(row.outboxDead)",
            ]
        }
        for row in installations.rows where row.isHeld {
            Terminal.say("\(row.appID) is owned by \(row.holder ?? "")\(describeConnection(row))")
        }
    }

    /// Such as ", connected for 12s" or ", backing_off for 3s, again in 2s: no connection to ...".
    private static func describeConnection(_ row: InstallationStatus) -> String {
        guard row.status == "active", let state = row.connection else { return "" }
        let age = row.connectionAge.map { " for \(max(0, $0.components.seconds))s" } ?? ""
        let retry = row.connectionRetryIn.map { ", again in \(max(0, $0.components.seconds))s" } ?? ""
        return ", \(state)\(age)\(retry)\(row.connectionReason.map { ": \($0)" } ?? "")"
    }
}
