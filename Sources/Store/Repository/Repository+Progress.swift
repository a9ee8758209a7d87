import AsyncRuntime
import Lark
import Postgres

/// What a run says of itself, taken for showing it.
package struct ProgressRow: Sendable {
    package let installation: InstallationID
    package let taskID: Int64
    package let version: Int64
    package let text: String
    /// The card that is there; nil: none yet.
    package let messageID: String?
    package let attempts: Int
    package let agent: String
    package let chatID: String
    package let receiver: OpenAPIClient.Receiver
}

extension Repository {
    /// Shows how far a claimed task is.
    /// - Throws: `PostgresError`; with SQLSTATE `lostClaim` when the worker does not hold it.
    package func reportProgress(_ id: Int64, worker: WorkerIdentity, text: String) async throws {
        try await run(SQL.reportProgress, [.int(id), .text(worker.name), .text(text), .text(worker.token)])
    }

    package func takeProgress(holder: String, limit: Int) async throws -> [ProgressRow] {
        try await run(SQL.takeProgress, [.text(holder), .int(Int64(limit))]).map { row in
            let chatID: String = try row.value("chat_id")
            let replyTo: String? = try row.optional("reply_to")
            let inThread: Bool = try row.value("in_thread")
            return ProgressRow(
                installation: InstallationID(rawValue: try row.value("installation_id")),
                taskID: try row.value("task_id"), version: try row.value("version"), text: try row.value("text"),
                messageID: try row.optional("lark_message_id"), attempts: try row.value("attempts"),
                agent: try row.value("agent"), chatID: chatID,
                receiver: replyTo.map { .message($0, inThread: inThread) } ?? .chat(chatID))
        }
    }

    package func settle(_ row: ProgressRow, messageID: String) async throws {
        try await run(SQL.settleProgress, Self.key(row) + [.text(messageID), .interval(nil)])
    }

    /// - Parameter wait: nil: for ever.
    package func postpone(_ row: ProgressRow, for wait: Duration?) async throws {
        try await run(SQL.settleProgress, Self.key(row) + [.text(nil), .interval(wait)])
    }

    private static func key(_ row: ProgressRow) -> [PostgresValue] {
        [.int(row.installation.rawValue), .int(row.taskID), .int(row.version)]
    }
}
