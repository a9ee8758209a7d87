import AsyncRuntime
import Foundation
import Postgres

/// A run that a worker has to make.
package struct ClaimedTask: Sendable, Equatable {
    package let id: Int64
    package let sessionID: Int64
    package let workspace: String
    package let agent: String
    package let chatID: String
    package let chatType: String
    package let attempt: Int
    /// JSON array, oldest first: [{position, lark_message_id, sender, content, created_at}]. The first one has
    /// `omitted_before` where older ones were too many: how many were left out.
    package let messages: String
    /// Grows when the chat began afresh with /new.
    package let context: Int64
    /// JSON array, oldest first: what was said in the group before, by others; see `GroupContext`.
    package let groupContext: String
}

/// Whose words the context of a group holds.
package struct ContextRules: Sendable {
    /// Of the people who were asked about, those who are let in; by open_id.
    package let members: Set<String>
    /// Also what others say is told.
    package let tellsOfStrangers: Bool

    package init(members: Set<String>, tellsOfStrangers: Bool) {
        self.members = members
        self.tellsOfStrangers = tellsOfStrangers
    }
}

/// A worker's side of the queue: the same SQL functions that a worker in any other language calls.
extension Repository {
    /// The SQLSTATE of a call about a task that the worker does not hold (any more).
    package static let lostClaim = "GW001"

    package func claimTask(runtime: String, worker: WorkerIdentity, lease: Duration) async throws -> ClaimedTask? {
        let values: [PostgresValue] = [
            .text(runtime), .text(worker.name), .interval(lease), .int(nil), .text(worker.token),
        ]
        return try await run(SQL.claimTask, values).first.map { row in
            ClaimedTask(
                id: try row.value("task_id"), sessionID: try row.value("session_id"),
                workspace: try row.value("workspace"), agent: try row.value("agent"),
                chatID: try row.value("chat_id"), chatType: try row.value("chat_type"),
                attempt: try row.value("attempt"), messages: try row.value("messages"),
                context: try row.value("context"), groupContext: try row.value("group_context"))
        }
    }

    /// After a call of `claimTask` that got no answer, by a worker that holds no claim that it knows of.
    package func returnClaims(worker: WorkerIdentity) async throws {
        try await run(SQL.returnClaims, [.text(worker.name), .text(worker.token)])
    }

    package func extendTask(_ id: Int64, worker: WorkerIdentity) async throws {
        try await run(SQL.extendTask, [.int(id), .text(worker.name), .text(worker.token)])
    }

    package func completeTask(_ id: Int64, worker: WorkerIdentity, reply: String) async throws {
        try await run(SQL.completeTask, [.int(id), .text(worker.name), .text(reply), .text(worker.token)])
    }

    package func failTask(_ id: Int64, worker: WorkerIdentity, error: String) async throws {
        try await run(SQL.failTask, [.int(id), .text(worker.name), .text(error), .text(worker.token)])
    }

    package func contextRules(of installation: InstallationID, people: [String]) async throws -> ContextRules {
        let rows = try await run(SQL.findContextRules, [.int(installation.rawValue), .textArray(people)])
        return ContextRules(
            members: Set(try rows.compactMap { try $0.optional("open_id") }),
            tellsOfStrangers: try rows.first?.value("tells_of_strangers") ?? false)
    }

    /// - Parameter context: JSON; what stood in the group before the message at this position.
    package func put(_ context: String, of session: SessionKey, at position: Int64, under lease: Lease) async throws {
        try await run(
            SQL.putContext,
            [
                .int(session.installation.rawValue), .int(session.session), .int(position), .jsonb(context),
                .int(lease.generation),
            ])
    }

    package func expireClaims() async throws -> Int {
        try await run(SQL.expireClaims, []).first.map { try $0.value("expired") } ?? 0
    }
}
