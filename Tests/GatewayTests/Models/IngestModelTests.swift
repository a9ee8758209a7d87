import AsyncRuntime
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("Models: the fate of messages")
struct IngestModelTests {
    /// What the rules say of one installation's messages, one after another.
    private struct Model {
        struct Session {
            var last: Int64 = 0
            var hasQueuedTask = false
        }

        let isOpen: Bool
        var isRevoked = false
        var handled: Set<String> = []
        var stored: Set<String> = []
        var members: Set<String> = []
        var former: Set<String> = []
        var told: Set<String> = []
        var sessions: [String: Session] = [:]
        var audit: [String] = []

        mutating func receive(_ message: InboundMessage, appID: String, isOwner: Bool) -> IngestResult {
            func drop(_ verdict: Verdict) -> IngestResult {
                if verdict != .fenced { audit.append(verdict.rawValue) }
                return IngestResult(verdict: verdict)
            }
            guard isOwner else { return drop(.fenced) }
            guard message.appID == appID else { return drop(.invalidEvent) }
            guard !isRevoked else { return drop(.revokedInstallation) }
            guard message.messageID != "" else { return drop(.invalidEvent) }
            guard !stored.contains(message.messageID), handled.insert(message.messageID).inserted else {
                handled.insert(message.messageID)
                return drop(.duplicate)
            }
            if let fault = message.fault { return drop(fault == .appSender ? .appSender : .invalidEvent) }
            guard message.isAddressed else { return drop(.notAddressedInGroup) }
            if !members.contains(message.sender) {
                if former.contains(message.sender) {
                    told.insert("notice,\(message.sender)")
                    return drop(.nonWorkspaceMember)
                }
                guard isOpen else {
                    told.insert("prompt,\(message.sender)")
                    return drop(.unboundUser)
                }
                members.insert(message.sender)
            }
            let chat = message.chatID + "/" + message.threadID
            sessions[chat, default: Session()].last += 1
            stored.insert(message.messageID)
            let session = sessions[chat] ?? Session()
            return IngestResult(
                verdict: .ingested, position: session.last, hasOpenWindow: !session.hasQueuedTask)
        }
    }

    @Test(
        "any sequence of batches, replays, faults, strangers, revocations and takeovers gets the verdicts of the rules")
    func ingest() async throws {
        let world = try await ModelWorld()
        try await ModelSeeds.tryAll(1_000, sideBySide: 4) { seed, random in
            let isOpen = random.happens(oneIn: 2)
            let bot = try await world.makeBot(seed, access: isOpen ? .open : .pairing)
            let installation = bot.lease.installation.rawValue
            var model = Model(isOpen: isOpen)
            for step in 0..<Int.random(in: 3...8, using: &random) {
                try await disturb(world, bot, &model, &random)
                let isOwner = !random.happens(oneIn: 12)
                let messages = (0..<Int.random(in: 1...12, using: &random)).map { _ in Self.message(bot, &random) }
                let lease = isOwner ? bot.lease : Lease(installation: bot.lease.installation, generation: 7)
                let rows = messages.map { IngestRow(lease: lease, message: $0) }
                // Two replicas may hold the same messages at the same time (B17).
                let copies = random.happens(oneIn: 4) ? 2 : 1
                let answers = try await withThrowingTaskGroup(of: [IngestResult].self) { group in
                    for _ in 0..<copies {
                        group.addTask { try await world.repository.ingest(rows, deadline: .after(.seconds(30))) }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let expected = (0..<copies).map { _ in
                    messages.map { model.receive($0, appID: bot.appID, isOwner: isOwner) }
                }
                let found = answers.map { $0.map(Self.words) }.sorted { $0.joined() < $1.joined() }
                let wanted = expected.map { $0.map(Self.words) }.sorted { $0.joined() < $1.joined() }
                try Deviation.unless(found == wanted, "step \(step): \(found) instead of \(wanted)")
            }
            let audit = try await world.pool.rows(
                """
                SELECT reason FROM gateway.inbound_audit
                WHERE installation_id = $1 OR (installation_id IS NULL AND lark_message_id LIKE 'om_\(seed)!_%' ESCAPE '!')
                """, [.int(installation)])
            try Deviation.unless(
                audit.sorted() == model.audit.map { "(\($0))" }.sorted(), "audited \(audit) instead of \(model.audit)")
            let told = try await world.pool.rows(
                "SELECT kind, receive_id FROM gateway.outbox WHERE installation_id = $1", [.int(installation)])
            try Deviation.unless(told.sorted() == model.told.map { "(\($0))" }.sorted(), "told \(told): \(model.told)")
            let gaps = try await world.pool.rows(
                """
                SELECT s.id FROM gateway.chat_session s WHERE s.installation_id = $1 AND s.last_position <>
                    (SELECT count(*) FROM gateway.chat_message m WHERE m.installation_id = $1 AND m.session_id = s.id)
                """, [.int(installation)])
            try Deviation.unless(gaps.isEmpty, "gaps in \(gaps)")
        }
        await world.pool.close()
    }

    private static func words(_ result: IngestResult) -> String {
        "\(result.verdict.rawValue) \(result.position ?? 0) \(result.hasOpenWindow)"
    }

    private static func message(_ bot: ModelWorld.Bot, _ random: inout SeededGenerator) -> InboundMessage {
        let number = Int.random(in: 0..<40, using: &random)
        let isForeign = random.happens(oneIn: 30)
        var message = Fixture.message(
            // What is audited without an installation is found by its id.
            !isForeign && random.happens(oneIn: 30) ? "" : "om_\(bot.workspace.dropFirst())_\(number)",
            // A message's chat, topic and sender are always the same.
            chat: "oc_\(number % 3)", thread: number % 4 == 3 ? "omt" : "", sender: "ou_\(number % 5)",
            type: number % 3 == 0 ? .group : .p2p, addressed: number % 3 != 0 || number % 2 == 0,
            app: isForeign ? "cli_other" : bot.appID)
        if number % 13 == 12 { message.fault = number % 2 == 0 ? .appSender : .invalidEvent }
        return message
    }

    /// What happens between batches.
    private func disturb(
        _ world: ModelWorld, _ bot: ModelWorld.Bot, _ model: inout Model, _ random: inout SeededGenerator
    ) async throws {
        let installation = PostgresValue.int(bot.lease.installation.rawValue)
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            model.isRevoked.toggle()
            try await world.pool.run(
                "UPDATE gateway.installation SET status = $2 WHERE id = $1",
                [installation, .text(model.isRevoked ? "revoked" : "active")])
        case 1:
            // A day passes.
            model.handled = []
            try await world.pool.run("DELETE FROM gateway.inbound_dedup WHERE installation_id = $1", [installation])
        case 2:
            guard let member = model.members.sorted().first else { return }
            model.members.remove(member)
            model.former.insert(member)
            try await world.pool.run(
                """
                DELETE FROM gateway.member m USING gateway.installation i
                WHERE i.id = $1 AND m.workspace_id = i.workspace_id AND m.name = $2
                """, [installation, .text(member)])
        case 3:
            let stranger = "ou_\(Int.random(in: 0..<5, using: &random))"
            guard !model.members.contains(stranger), !model.former.contains(stranger) else { return }
            model.members.insert(stranger)
            try await world.pool.run(
                """
                WITH made AS (INSERT INTO gateway.member (workspace_id, name)
                    SELECT workspace_id, $2 FROM gateway.installation WHERE id = $1 RETURNING workspace_id, id)
                INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
                SELECT $1, $2, workspace_id, id FROM made
                """, [installation, .text(stranger)])
        case 4:
            // The windows close: tasks are queued for what is open.
            let windows = try await world.repository.loadWindows(of: [bot.lease.installation]).map {
                ($0.session, bot.lease)
            }
            guard !windows.isEmpty else { return }
            _ = try await world.repository.flush(windows, force: true, deadline: .after(.seconds(30)))
            for chat in model.sessions.keys { model.sessions[chat]?.hasQueuedTask = true }
        default: break
        }
    }
}
