import AsyncRuntime
import Foundation
import Gateway
import Lark
import Postgres
import Store
import TestSupport

/// A database with one workspace, one agent with a runtime, and installations of it that this test owns.
struct Fixture: Sendable {
    let url: String
    let pool: Pool
    let repository: Repository
    let lease: Lease

    init(access: InstallationSettings.Access = .open, apps: [String] = ["cli_a"]) async throws {
        url = try await TestPostgres.makeDatabase()
        pool = Pool(url: url, size: 4)
        repository = Repository(pool: pool)
        try await repository.applyAgent(workspace: "acme", name: "support", runtime: "default")
        var first: Lease?
        for app in apps {
            let (id, _) = try await repository.applyInstallation(
                InstallationSettings(
                    appID: app, appSecret: "s", domain: URL(fileURLWithPath: "/"), workspace: "acme", agent: "support",
                    access: access, locale: .en))
            first = first ?? Lease(installation: id, generation: 1)
        }
        try await pool.run(
            "UPDATE gateway.installation SET lease_generation = 1, lease_holder = 'test', lease_expires_at = now() + interval '1 hour'"
        )
        lease = first ?? Lease(installation: InstallationID(rawValue: 0), generation: 0)
    }

    static func message(
        _ id: String, _ text: String = "hi", chat: String = "oc_1", thread: String = "", sender: String = "ou_1",
        type: InboundMessage.ChatType = .p2p, addressed: Bool = true, app: String = "cli_a"
    ) -> InboundMessage {
        var message = InboundMessage(appID: app)
        message.messageID = id
        message.chatID = chat
        message.threadID = thread
        message.sender = sender
        message.chatType = type
        message.content = text
        message.isAddressed = addressed
        message.sentAtMilliseconds = 1_780_000_000_000
        return message
    }

    @discardableResult
    func ingest(_ messages: InboundMessage..., lease: Lease? = nil) async throws -> [IngestResult] {
        try await repository.ingest(
            messages.map { IngestRow(lease: lease ?? self.lease, message: $0) }, deadline: .after(.seconds(20)))
    }

    /// Closes the session's window now.
    @discardableResult
    func flush(_ session: SessionKey, force: Bool = true) async throws -> FlushOutcome? {
        try await repository.flush([(session, lease)], force: force, deadline: .after(.seconds(20)))[session]
    }

    func claim(worker: WorkerIdentity = "w1", lease: Duration = .seconds(60)) async throws -> ClaimedTask? {
        try await repository.claimTask(runtime: "default", worker: worker, lease: lease)
    }

    /// The contents that a claim handed out, in order.
    func contents(_ task: ClaimedTask?) -> [String] {
        guard let task, let json = JSONValue(parsing: task.messages) else { return [] }
        return json.array.compactMap { $0["content"].string }
    }

    func audit() async throws -> [String] {
        try await pool.rows("SELECT reason FROM gateway.inbound_audit ORDER BY id")
    }
}

/// A worker without a token, as the owner of the schema may be one.
extension WorkerIdentity: ExpressibleByStringLiteral {
    public init(stringLiteral name: String) { self.init(name: name) }
}
