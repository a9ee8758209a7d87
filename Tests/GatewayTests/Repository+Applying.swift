import Gateway
import Postgres
import Store

/// Parts of a configuration file by themselves, which the product only applies whole.
extension Repository {
    func applyAgent(workspace: String, name: String, runtime: String?) async throws {
        let call = Statement.call("apply_agent", in: "gateway", parameters: 4)
        _ = try await pool.query(
            call, [.text(workspace), .text(name), .text(runtime), .bool(true)], deadline: .after(.seconds(10)))
    }

    /// - Returns: its id and whether it is active.
    func applyInstallation(_ settings: InstallationSettings) async throws -> (InstallationID, isActive: Bool) {
        let call = Statement.call(
            "apply_installation", in: "gateway", parameters: 6, returning: ["installation_id", "status"])
        let rows = try await pool.query(
            call,
            [
                .text(settings.appID), .text(settings.workspace), .text(settings.agent),
                .text(settings.domain.absoluteString), .text(settings.locale.rawValue), .text(settings.access.rawValue),
            ], deadline: .after(.seconds(10)))
        let status: String = try rows[0].value("status")
        return (InstallationID(rawValue: try rows[0].value("installation_id")), status == "active")
    }
}
