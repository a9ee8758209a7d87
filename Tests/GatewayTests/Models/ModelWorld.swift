import AsyncRuntime
import Foundation
import Lark
import Postgres
import TestSupport

@testable import Gateway
@testable import Store

/// One database for a whole model test; each seed has a workspace, an agent and an installation of its own in it.
struct ModelWorld: Sendable {
    let pool: Pool
    let repository: Repository

    init() async throws {
        pool = Pool(url: try await TestPostgres.makeDatabase(), size: 4)
        repository = Repository(pool: pool)
    }

    struct Bot: Sendable {
        let lease: Lease
        let appID: String
        let agent: String
        let workspace: String
        let runtime: String
    }

    func makeBot(_ seed: Int, access: InstallationSettings.Access) async throws -> Bot {
        let bot = Bot(
            lease: Lease(installation: InstallationID(rawValue: 0), generation: 1), appID: "cli_\(seed)",
            agent: "agent", workspace: "w\(seed)", runtime: "r\(seed)")
        try await repository.applyAgent(workspace: bot.workspace, name: bot.agent, runtime: bot.runtime)
        let (id, _) = try await repository.applyInstallation(
            InstallationSettings(
                appID: bot.appID, appSecret: "s", domain: URL(fileURLWithPath: "/"), workspace: bot.workspace,
                agent: bot.agent, access: access, locale: .en))
        try await pool.run(
            "UPDATE gateway.installation SET lease_generation = 1, lease_holder = 'test' WHERE id = $1",
            [.int(id.rawValue)])
        return Bot(
            lease: Lease(installation: id, generation: 1), appID: bot.appID, agent: bot.agent,
            workspace: bot.workspace, runtime: bot.runtime)
    }
}
