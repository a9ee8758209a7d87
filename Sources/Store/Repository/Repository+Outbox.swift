import AsyncRuntime
import Foundation
import Lark
import Postgres

/// Something to be sent to Lark, taken for sending.
package struct OutboxRow: Sendable {
    package let lease: Lease
    /// Whose answer it is.
    package let session: SessionKey?
    /// Lark's idempotency uuid.
    package let id: UUID
    /// `reply`, `notice`, `prompt`, or what only a newer version knows.
    package let kind: String
    package let receiver: OpenAPIClient.Receiver
    /// Where it goes when the message that it answers is gone; nil where it answers none.
    package let chatID: String?
    /// JSON.
    package let payload: String
    /// This one included.
    package let attempts: Int
    package let locale: String
    package let agent: String
}

/// One line of `outbox list`. Never what it says.
package struct OutboxEntry: Sendable {
    package let id: UUID
    package let appID: String
    package let kind: String
    package let receiver: String
    package let attempts: Int
    package let isDead: Bool
    /// RFC 3339.
    package let createdAt: String
    package let age: Duration
    package let nextIn: Duration
    package let lastError: String?
}

package struct OutboxDepth: Sendable, Equatable {
    package let waiting: Int
    /// How long the oldest has waited.
    package let oldest: Duration
    package let dead: Int
}

extension Repository {
    /// - Parameter held: nothing of these.
    package func takeOutbox(
        holder: String, limit: Int, visibility: Duration, held: [InstallationID] = []
    ) async throws -> [OutboxRow] {
        try await run(
            SQL.takeOutbox,
            [.text(holder), .int(Int64(limit)), .interval(visibility), .intArray(held.map(\.rawValue))]
        ).map { row in
            let receiveID: String = try row.value("receive_id")
            let isPerson = try row.value("receive_id_type", as: String.self) == "open_id"
            let replyTo: String? = try row.optional("reply_to")
            let inThread: Bool = try row.value("in_thread")
            let installation = InstallationID(rawValue: try row.value("installation_id"))
            let session: Int64? = try row.optional("session_id")
            return OutboxRow(
                lease: Lease(installation: installation, generation: try row.value("generation")),
                session: session.map { SessionKey(installation: installation, session: $0) },
                id: try row.value("id"), kind: try row.value("kind"),
                receiver: replyTo.map { .message($0, inThread: inThread) }
                    ?? (isPerson ? .person(openID: receiveID) : .chat(receiveID)),
                chatID: replyTo == nil ? nil : receiveID, payload: try row.value("payload"),
                attempts: try row.value("attempts"), locale: try row.value("locale"), agent: try row.value("agent"))
        }
    }

    /// After a call of `takeOutbox` that got no answer: what it took is to be taken again.
    /// - Parameter known: what we do hold.
    package func returnOutbox(holder: String, except known: [UUID]) async throws {
        try await run(SQL.returnOutbox, [.text(holder), .uuidArray(known)])
    }

    package enum Settlement: Sendable, Equatable {
        case sent(larkMessageID: String)
        case retry(in: Duration, error: String)
        /// Not tried: it was no attempt.
        case returned(for: Duration, reason: String)
        /// - Parameter told: what the chat of a reply is told of the reason; nil: nothing, since it would not get that
        ///   either.
        case dead(error: String, told: String?)
    }

    package func settle(_ row: OutboxRow, _ settlement: Settlement) async throws {
        let key: [PostgresValue] = [
            .int(row.lease.installation.rawValue), .int(row.lease.generation), .uuid(row.id),
        ]
        var (messageID, error, retryIn, told): (String?, String?, Duration?, String?)
        switch settlement {
        case .sent(let id): messageID = id
        case .retry(let wait, let reason): (error, retryIn) = (reason, wait)
        case .returned(let wait, let reason):
            try await run(SQL.returnOutboxRow, key + [.interval(wait), .text(reason)])
            return
        case .dead(let reason, let words): (error, told) = (reason, words)
        }
        try await run(SQL.settleOutbox, key + [.text(messageID), .text(error), .interval(retryIn), .text(told)])
    }

    /// The newest messages of people in a session, the newest first: what an answer may stand under.
    /// - Parameter message: left out.
    package func messages(of session: SessionKey, except message: String, limit: Int) async throws -> [String] {
        try await run(
            SQL.listTopicMessages,
            [.int(session.installation.rawValue), .int(session.session), .text(message), .int(Int64(limit))]
        ).map { try $0.value("lark_message_id") }
    }

    /// Of those whom an answer in a session wants to mention, those whom it may.
    package func allowedMentions(of asked: AllowedMentions, in session: SessionKey) async throws -> AllowedMentions {
        let rows = try await run(
            SQL.findAllowedMentions,
            [.int(session.installation.rawValue), .int(session.session), .textArray(Array(asked.people))])
        let mayMentionAll: Bool = try rows.first?.value("may_mention_all") ?? false
        return AllowedMentions(
            people: Set(try rows.compactMap { try $0.optional("open_id") }),
            everybody: asked.everybody && mayMentionAll)
    }

    /// How many prompts to the receiver of this one were given up within a day, without it.
    package func countDeadPrompts(like row: OutboxRow) async throws -> Int {
        guard case .person(let openID) = row.receiver else { return 0 }
        let values: [PostgresValue] = [.int(row.lease.installation.rawValue), .text(openID), .uuid(row.id)]
        return try await run(SQL.countDeadPrompts, values).first?.value("dead") ?? 0
    }

    /// What the installations' outboxes hold.
    package func measureOutbox(of installations: [InstallationID]) async throws -> OutboxDepth {
        let rows = try await run(SQL.measureOutbox, [.intArray(installations.map(\.rawValue))])
        guard let row = rows.first else { throw PostgresError.unexpectedResult("measure_outbox: no row") }
        return OutboxDepth(
            waiting: try row.value("waiting"),
            oldest: try row.optional("oldest_ms").map { (ms: Int64) in .milliseconds(ms) } ?? .zero,
            dead: try row.value("dead"))
    }

    /// - Parameter appID: nil: of all.
    package func outbox(isDead: Bool, of appID: String?, limit: Int) async throws -> Listed<OutboxEntry> {
        try Listed(await run(SQL.listOutbox, [.bool(isDead), .text(appID), .int(Int64(limit))])) { row in
            OutboxEntry(
                id: try row.value("id"), appID: try row.value("app_id"), kind: try row.value("kind"),
                receiver: try row.value("receive_id"), attempts: try row.value("attempts"),
                isDead: try row.value("is_dead"), createdAt: try row.value("created_at"),
                age: .milliseconds(try row.value("age_ms", as: Int64.self)),
                nextIn: .milliseconds(try row.value("next_in_ms", as: Int64.self)),
                lastError: try row.optional("last_error"))
        }
    }

    /// Sends again at once.
    /// - Parameter id: nil: all that were given up, of this app or of all.
    /// - Returns: how many.
    package func retryOutbox(_ id: UUID?, of appID: String?) async throws -> Int {
        try await run(SQL.retryOutbox, [.uuid(id), .text(appID)]).first?.value("retried") ?? 0
    }

    /// Gives up what was not sent.
    /// - Returns: false when there is no such row.
    package func dropOutbox(_ id: UUID) async throws -> Bool {
        try await run(SQL.dropOutbox, [.uuid(id)]).first?.value("is_dropped") ?? false
    }
}
