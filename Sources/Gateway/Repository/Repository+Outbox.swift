import AsyncRuntime
import Foundation
import Lark
import Postgres

/// Something to be sent to Lark, taken for sending.
struct OutboxRow: Sendable {
    enum Kind: String, Sendable { case reply, notice, prompt }

    let lease: Lease
    /// Lark's idempotency uuid.
    let id: UUID
    let kind: Kind
    let receiver: OpenAPIClient.Receiver
    /// Where it goes when the message that it answers is gone; nil where it answers none.
    let chatID: String?
    /// JSON.
    let payload: String
    /// This one included.
    let attempts: Int
    let locale: String
    let agent: String
}

extension Repository {
    func takeOutbox(holder: String, limit: Int, visibility: Duration) async throws -> [OutboxRow] {
        try await run(SQL.takeOutbox, [.text(holder), .int(Int64(limit)), .interval(visibility)]).map { row in
            let receiveID: String = try row.value("receive_id")
            let isPerson = try row.value("receive_id_type", as: String.self) == "open_id"
            let replyTo: String? = try row.optional("reply_to")
            let inThread: Bool = try row.value("in_thread")
            let kind: String = try row.value("kind")
            guard let kind = OutboxRow.Kind(rawValue: kind) else {
                throw PostgresError.unexpectedResult("take_outbox: kind \(kind)")
            }
            return OutboxRow(
                lease: Lease(
                    installation: InstallationID(rawValue: try row.value("installation_id")),
                    generation: try row.value("generation")),
                id: try row.value("id"), kind: kind,
                receiver: replyTo.map { .message($0, inThread: inThread) }
                    ?? (isPerson ? .person(openID: receiveID) : .chat(receiveID)),
                chatID: replyTo == nil ? nil : receiveID, payload: try row.value("payload"),
                attempts: try row.value("attempts"), locale: try row.value("locale"), agent: try row.value("agent"))
        }
    }

    enum Settlement: Sendable, Equatable {
        case sent(larkMessageID: String)
        case retry(in: Duration, error: String)
        case dead(error: String)
    }

    func settle(_ row: OutboxRow, _ settlement: Settlement) async throws {
        var (messageID, error, retryIn): (String?, String?, Duration?)
        switch settlement {
        case .sent(let id): messageID = id
        case .retry(let wait, let reason): (error, retryIn) = (reason, wait)
        case .dead(let reason): error = reason
        }
        try await run(
            SQL.settleOutbox,
            [
                .int(row.lease.installation.rawValue), .int(row.lease.generation), .uuid(row.id), .text(messageID),
                .text(error), .interval(retryIn),
            ])
    }

    func makeBindingCode(sha256: [UInt8], openID: String, installation: InstallationID) async throws {
        try await run(SQL.makeBindingCode, [.int(installation.rawValue), .bytes(sha256), .text(openID)])
    }
}
