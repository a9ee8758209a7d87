import AsyncRuntime
import Lark
import Postgres

/// A message on its way into the database, and the lease under which it came.
package struct IngestRow: Sendable {
    package let lease: Lease
    package var message: InboundMessage
    /// What it says to the gateway itself.
    package let command: ChatCommand?
    /// What is held beside it until its fate is known: the headers of its frame, for the ack.
    private let receiptBytes: Int

    package init(lease: Lease, message: InboundMessage, receiptBytes: Int = 0) {
        self.lease = lease
        self.message = message
        self.receiptBytes = receiptBytes
        command = message.fault == nil ? ChatCommand(message.content) : nil
    }

    /// What an agent reads of it, or would.
    package var content: String {
        if case .new(let text) = command { text } else { message.content }
    }

    /// Roughly what it holds in memory.
    package var cost: Int {
        // A command holds its words once more.
        message.content.utf8.count * (command == nil ? 1 : 2) + ids + receiptBytes + 512
    }

    private var ids: Int {
        message.eventID.utf8.count + message.messageID.utf8.count + message.chatID.utf8.count
            + message.threadID.utf8.count + message.sender.utf8.count
    }
}

/// What was decided about a message, as `gateway.ingest_messages` decides it.
package enum Verdict: String, Sendable, CaseIterable {
    case ingested
    case duplicate
    case unboundUser = "unbound_user"
    case nonWorkspaceMember = "non_workspace_member"
    case notAddressedInGroup = "not_addressed_in_group"
    case revokedInstallation = "revoked_installation"
    case invalidEvent = "invalid_event"
    case appSender = "app_sender"
    /// Somebody else holds its session; nothing of it was written.
    case busy
    case fenced
}

package struct IngestResult: Sendable, Equatable {
    package let verdict: Verdict
    /// Where it was stored.
    package let session: SessionKey?
    package let position: Int64?
    /// The session waits for a run; false where a queued task covers the message already.
    package let hasOpenWindow: Bool

    package init(verdict: Verdict, session: SessionKey? = nil, position: Int64? = nil, hasOpenWindow: Bool = false) {
        self.verdict = verdict
        self.session = session
        self.position = position
        self.hasOpenWindow = hasOpenWindow
    }
}

extension Repository {
    /// Decides a batch in one transaction.
    /// - Parameter skipsBusy: does not wait for sessions that somebody else holds; their messages are `busy`.
    /// - Returns: one result per row, in their order.
    package func ingest(_ rows: [IngestRow], skipsBusy: Bool = false, deadline: Deadline) async throws -> [IngestResult]
    {
        let messages = rows.map(\.message)
        let values: [PostgresValue] =
            [
                .intArray(rows.map(\.lease.installation.rawValue)),
                .intArray(rows.map(\.lease.generation)),
                .textArray(messages.map(\.appID)),
                .textArray(messages.map(\.messageID)),
                .textArray(messages.map(\.chatID)),
                .textArray(messages.map(\.threadID)),
                .textArray(messages.map(\.chatType.rawValue)),
                .textArray(messages.map(\.sender)),
                .textArray(rows.map(\.content)),
                .intArray(messages.map(\.sentAtMilliseconds)),
                .boolArray(messages.map(\.isAddressed)),
                .textArray(messages.map { $0.fault?.rawValue }),
                .interval(batching.silenceWindow),
                .interval(batching.maxWait),
                .bool(skipsBusy),
            ]
            + Self.commands(rows)
        let answer = try await pool.query(SQL.ingestMessages, values, deadline: deadline)
        guard answer.count == rows.count else {
            throw PostgresError.unexpectedResult("ingest_messages: \(answer.count) verdicts for \(rows.count) messages")
        }
        return try zip(rows, answer).map { row, result in
            let word: String = try result.value("verdict")
            guard let verdict = Verdict(rawValue: word) else {
                throw PostgresError.unexpectedResult("ingest_messages: verdict \(word)")
            }
            let session: Int64? = try result.optional("session_id")
            return IngestResult(
                verdict: verdict,
                session: session.map { SessionKey(installation: row.lease.installation, session: $0) },
                position: try result.optional("message_position"), hasOpenWindow: try result.value("window_open"))
        }
    }

    /// Command, title and description of each; empty where the batch has none, as nearly always.
    private static func commands(_ rows: [IngestRow]) -> [PostgresValue] {
        guard rows.contains(where: { $0.command != nil }) else {
            return [.textArray([]), .textArray([]), .textArray([])]
        }
        let issues = rows.map { row -> (title: String, description: String)? in
            guard case .issue(let title, let description) = row.command else { return nil }
            return (title, description)
        }
        return [
            .textArray(rows.map { $0.command?.name }), .textArray(issues.map { $0?.title }),
            .textArray(issues.map { $0?.description }),
        ]
    }
}
