import AsyncRuntime
import Foundation
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// Configuration files and commands in any order: who is whose, and what each may change.
@Suite("Models: the file and the commands")
struct AdministrationModelTests {
    private struct Installation: Equatable {
        var origin: String
        /// nil: active.
        var revokedBy: String?
        var agent: String
        var isInFile = false
        /// A command says whether it is revoked.
        var isOverridden = false

        var isOfCommands: Bool { origin == "command" }
    }

    private struct Agent: Equatable {
        var origin: String
        /// nil: not archived.
        var archivedBy: String?
        var isInFile = false
        /// A command says whether it is archived.
        var isOverridden = false
        var runtime: String?
        /// What the file says of it, or what it was made with.
        var configured: String?
        /// A command says what the runtime is.
        var isRuntimeOverridden = false

        var isOfCommands: Bool { origin == "command" }
    }

    /// All that there is; agents are named `workspace/name`.
    private struct State: Equatable {
        var installations: [String: Installation] = [:]
        var agents: [String: Agent] = [:]
    }

    private struct File {
        /// Agent to runtime; nil: offline.
        let agents: [String: String?]
        /// App to agent.
        let installations: [String: String]
        let mayRevokeAll: Bool

        var named: Set<String> { Set(agents.keys).union(installations.values) }
    }

    private struct World {
        let repository: Repository
        let key: SealingKey
        let apps: [String]
        let agents: [String]

        func state() async throws -> State {
            var state = State()
            let installations = """
                SELECT i.app_id, i.origin, i.revoked_by, i.status, w.name || '/' || a.name AS agent, i.is_in_file,
                    EXISTS (SELECT FROM gateway.installation_override o
                        WHERE o.installation_id = i.id AND o.setting = 'revoked') AS is_overridden
                FROM gateway.installation i JOIN gateway.agent a ON a.id = i.agent_id
                JOIN gateway.workspace w ON w.id = i.workspace_id
                """
            for row in try await query("installations", installations) {
                let by: String? = try row.optional("revoked_by")
                try Deviation.unless(
                    try row.value("status") == (by == nil ? "active" : "revoked"), "a status of its own")
                state.installations[try row.value("app_id")] = Installation(
                    origin: try row.value("origin"), revokedBy: by, agent: try row.value("agent"),
                    isInFile: try row.value("is_in_file"), isOverridden: try row.value("is_overridden"))
            }
            let agents = """
                SELECT w.name || '/' || a.name AS name, a.origin, a.archived_by, a.archived_at IS NOT NULL AS is_archived,
                    a.is_in_file, a.runtime_id, a.configured_runtime_id,
                    EXISTS (SELECT FROM gateway.agent_override o
                        WHERE o.agent_id = a.id AND o.setting = 'archived') AS is_overridden,
                    EXISTS (SELECT FROM gateway.agent_override o
                        WHERE o.agent_id = a.id AND o.setting = 'runtime') AS is_runtime_overridden
                FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
                """
            for row in try await query("agents", agents) {
                let by: String? = try row.optional("archived_by")
                try Deviation.unless(try row.value("is_archived") == (by != nil), "archived by nobody")
                state.agents[try row.value("name")] = Agent(
                    origin: try row.value("origin"), archivedBy: by, isInFile: try row.value("is_in_file"),
                    isOverridden: try row.value("is_overridden"), runtime: try row.optional("runtime_id"),
                    configured: try row.optional("configured_runtime_id"),
                    isRuntimeOverridden: try row.value("is_runtime_overridden"))
            }
            return state
        }

        private func query(_ name: String, _ sql: String) async throws -> Rows {
            try await repository.pool.query(Statement(name: name, sql: sql), deadline: .after(.seconds(20)))
        }

        private func parts(_ agent: String) -> (workspace: String, name: String) {
            let parts = agent.split(separator: "/").map(String.init)
            return (parts[0], parts[1])
        }

        private func settings(_ app: String, _ agent: String) -> InstallationSettings {
            InstallationSettings(
                appID: app, appSecret: "s", domain: URL(fileURLWithPath: "/"), workspace: parts(agent).workspace,
                agent: parts(agent).name, access: .open, locale: .en)
        }

        /// - Returns: what changed; nil when it was refused.
        func apply(_ file: File) async throws -> [ConfigurationChange]? {
            try await unlessRefused {
                try await repository.applyConfiguration(parts(of: file))
            }
        }

        /// - Returns: what `apply` would return.
        func preview(_ file: File) async throws -> [ConfigurationChange]? {
            try await unlessRefused { try await repository.previewConfiguration(parts(of: file)) }
        }

        private func parts(of file: File) -> ConfiguredParts {
            ConfiguredParts(
                agents: file.agents.map {
                    AgentSettings(workspace: parts($0.key).workspace, name: parts($0.key).name, runtime: $0.value)
                },
                installations: file.installations.sorted { $0.key < $1.key }.map { settings($0.key, $0.value) },
                mayRevokeAll: file.mayRevokeAll)
        }

        func add(_ app: String, to agent: String) async throws -> Bool {
            try await unlessRefused {
                try await repository.addInstallation(settings(app, agent), sealedWith: key)
            } != nil
        }

        func say(_ setting: AgentSetting, of agent: String) async throws {
            _ = try await repository.override(
                setting, ofAgent: parts(agent).name, in: parts(agent).workspace, by: "ada@vm")
        }

        func reset(_ agent: String) async throws {
            _ = try await repository.resetAgent(parts(agent).name, in: parts(agent).workspace)
        }

        private func unlessRefused<T>(_ body: () async throws -> T) async throws -> T? {
            do {
                return try await body()
            } catch PostgresError.statement(let error) where error.sqlState == "GW002" {
                return nil
            } catch is RevokesEveryBot {
                return nil
            }
        }
    }

    @Test(
        "what the file made follows the file, unless a command says otherwise, until that is taken back; what a command made does not; nothing is ever deleted"
    )
    func origins() async throws {
        let pool = Pool(url: try await TestPostgres.makeDatabase(), size: 1)
        let key = try SealingKey(String(repeating: "0b", count: 32))
        try await ModelSeeds.tryAll(60) { _, random in
            let world = World(
                repository: Repository(pool: pool), key: key, apps: (0..<4).map { "cli_\($0)" },
                agents: ["one/a", "one/b", "two/a"])
            try await pool.run("TRUNCATE gateway.workspace, gateway.agent, gateway.installation CASCADE")
            for _ in 0..<25 { try await step(world, &random) }
        }
        await pool.close()
    }

    private static let runtimes: [String?] = ["default", "other", nil]

    private func step(_ world: World, _ random: inout SeededGenerator) async throws {
        let before = try await world.state()
        let (app, agent) = (random.pick(world.apps), random.pick(world.agents))
        var expected = before
        switch Int.random(in: 0..<11, using: &random) {
        case 0...2:
            let apps = world.apps.filter { _ in Bool.random(using: &random) }
            let agents = world.agents.filter { _ in Bool.random(using: &random) }
            let file = File(
                agents: Dictionary(uniqueKeysWithValues: agents.map { ($0, random.pick(Self.runtimes)) }),
                installations: Dictionary(uniqueKeysWithValues: apps.map { ($0, random.pick(world.agents)) }),
                mayRevokeAll: Bool.random(using: &random))
            return try await apply(file, world, before)
        case 3:
            let known = before.installations[app]
            let isElsewhere = known.map { $0.revokedBy == nil && $0.agent != agent } ?? false
            let isAdded = try await world.add(app, to: agent)
            try Deviation.unless(isAdded != isElsewhere, "\(app) for \(agent): \(isAdded), \(known as Any)")
            if isAdded {
                expected.installations[app] = Installation(
                    origin: "command", revokedBy: nil, agent: agent, isInFile: known?.isInFile ?? false)
                if expected.agents[agent] == nil {
                    expected.agents[agent] = Agent(origin: "command", runtime: "default", configured: "default")
                }
            }
        case 4:
            _ = try await world.repository.revokeInstallation(app, by: "ada@vm")
            if expected.installations[app]?.revokedBy == nil {
                expected.installations[app]?.revokedBy = "command"
                expected.installations[app]?.isOverridden = true
            }
        case 5:
            _ = try await world.repository.restoreInstallation(app, by: "ada@vm")
            if let known = expected.installations[app], known.revokedBy != nil {
                expected.installations[app]?.revokedBy = nil
                expected.installations[app]?.isOverridden = !known.isInFile && !known.isOfCommands
            }
        case 6:
            _ = try await world.repository.resetInstallation(app)
            if let known = expected.installations[app] {
                let isDropped = !known.isOfCommands && !known.isInFile
                expected.installations[app]?.isOverridden = false
                expected.installations[app]?.revokedBy =
                    isDropped ? "config" : known.revokedBy == "command" ? nil : known.revokedBy
            }
        case 7:
            let runtime = random.pick(Self.runtimes)
            try await world.say(.runtime(runtime), of: agent)
            expected.agents[agent]?.runtime = runtime
            expected.agents[agent]?.isRuntimeOverridden = true
        case 8:
            try await world.reset(agent)
            if let known = expected.agents[agent] {
                let isInUse = before.installations.values.contains { $0.agent == agent && $0.revokedBy == nil }
                expected.agents[agent]?.runtime = known.configured
                expected.agents[agent]?.isRuntimeOverridden = false
                expected.agents[agent]?.isOverridden = false
                expected.agents[agent]?.archivedBy =
                    !known.isOfCommands && !known.isInFile && !isInUse ? "config" : nil
            }
        default:
            let isArchived = Bool.random(using: &random)
            try await world.say(.isArchived(isArchived), of: agent)
            if let known = expected.agents[agent] {
                expected.agents[agent]?.archivedBy = isArchived ? "command" : nil
                expected.agents[agent]?.isOverridden = isArchived || (!known.isInFile && !known.isOfCommands)
            }
        }
        let after = try await world.state()
        try Deviation.unless(after == expected, "\(before)\nbecame \(after)\ninstead of \(expected)")
    }

    private func apply(_ file: File, _ world: World, _ before: State) async throws {
        let active = before.installations.filter { $0.value.origin == "config" && $0.value.revokedBy == nil }
        let revokesAll =
            !active.isEmpty
            && active.allSatisfy {
                file.installations[$0.key] == nil && !$0.value.isOverridden
            }
        let isElsewhere = file.installations.contains { app, agent in
            guard let known = before.installations[app], known.revokedBy == nil else { return false }
            return known.agent.prefix(3) != agent.prefix(3)
        }
        let isRefused = isElsewhere || revokesAll && !file.mayRevokeAll
        let preview = try await world.preview(file)
        try Deviation.unless(try await world.state() == before, "a preview of \(file) changed something")
        let changes = try await world.apply(file)
        func sorted(_ changes: [ConfigurationChange]?) -> [String]? { changes?.map { "\($0)" }.sorted() }
        try Deviation.unless(
            sorted(preview) == sorted(changes), "\(preview as Any) was foretold, and \(changes as Any) came")
        let after = try await world.state()
        try Deviation.unless((changes == nil) == isRefused, "\(file) on \(before): \(changes as Any)")
        guard changes != nil else { return try Deviation.unless(after == before, "a refused file changed \(after)") }
        let expected = Self.applied(file, to: before)
        try Deviation.unless(after == expected, "\(file)\non \(before)\nmade \(after)\ninstead of \(expected)")
        // The same file once more.
        let again = try await world.apply(file)
        try Deviation.unless(again?.allSatisfy { $0.change == "stays_revoked" } == true, "again: \(again as Any)")
        try Deviation.unless(try await world.state() == after, "the second time it changed something")
    }

    private static func applied(_ file: File, to before: State) -> State {
        var state = before
        for agent in file.named {
            var known = before.agents[agent] ?? Agent(origin: "config", runtime: "default", configured: "default")
            if let runtime = file.agents[agent] {
                known.origin = "config"
                known.configured = runtime
                if !known.isRuntimeOverridden { known.runtime = runtime }
            }
            if known.archivedBy == "config" {
                known.archivedBy = nil
                // Restored by the file, it is the file's.
                known.origin = "config"
            }
            state.agents[agent] = known
        }
        for (agent, _) in state.agents { state.agents[agent]?.isInFile = file.named.contains(agent) }
        for (app, agent) in file.installations {
            let known = before.installations[app]
            state.installations[app] = Installation(
                origin: "config", revokedBy: known?.revokedBy == "command" ? "command" : nil, agent: agent,
                isOverridden: known?.isOverridden ?? false)
        }
        for (app, installation) in state.installations {
            state.installations[app]?.isInFile = file.installations[app] != nil
            if file.installations[app] == nil, installation.origin == "config", installation.revokedBy == nil,
                !installation.isOverridden
            {
                state.installations[app]?.revokedBy = "config"
            }
        }
        let inUse = Set(state.installations.values.filter { $0.revokedBy == nil }.map(\.agent))
        for (agent, row) in before.agents where !file.named.contains(agent) && !inUse.contains(agent) {
            if row.origin == "config", row.archivedBy == nil, !row.isOverridden {
                state.agents[agent]?.archivedBy = "config"
            }
        }
        return state
    }
}
