import Postgres

/// A sign under a message that the agent is at work.
package struct TypingSign: Sendable {
    package let session: SessionKey
    package let position: Int64
    package let messageID: String
    /// nil: it was asked for, and nobody heard the answer.
    package let reactionID: String?
    /// To take it away, this one included.
    package let attempts: Int
}

extension Repository {
    /// Remembers a sign that is about to be put under a message.
    /// - Returns: nil where there is to be none: the agent is away, or the lease is another's.
    package func beginTyping(
        under message: String, of session: SessionKey, at position: Int64, under lease: Lease
    ) async throws -> TypingSign? {
        let rows = try await run(
            SQL.beginTyping,
            [
                .int(session.installation.rawValue), .int(session.session), .int(position), .text(message),
                .int(lease.generation),
            ])
        guard !rows.isEmpty else { return nil }
        return TypingSign(session: session, position: position, messageID: message, reactionID: nil, attempts: 0)
    }

    /// Takes signs that are over.
    /// - Parameter session: nil: of every session of the holder's installations.
    package func takeTyping(holder: String, limit: Int, of session: SessionKey? = nil) async throws -> [TypingSign] {
        try await run(
            SQL.takeTyping,
            [
                .text(holder), .int(Int64(limit)), .int(session?.installation.rawValue), .int(session?.session),
            ]
        ).map { row in
            TypingSign(
                session: SessionKey(
                    installation: InstallationID(rawValue: try row.value("installation_id")),
                    session: try row.value("session_id")),
                position: try row.value("position"), messageID: try row.value("lark_message_id"),
                reactionID: try row.optional("reaction_id"), attempts: try row.value("attempts"))
        }
    }

    package func keep(_ sign: TypingSign, reactionID: String) async throws {
        try await run(SQL.keepTyping, Self.key(sign) + [.text(reactionID)])
    }

    package func end(_ sign: TypingSign) async throws {
        try await run(SQL.endTyping, Self.key(sign))
    }

    package func countTyping(holder: String) async throws -> Int {
        try await run(SQL.countTyping, [.text(holder)]).first?.value("signs") ?? 0
    }

    private static func key(_ sign: TypingSign) -> [PostgresValue] {
        [.int(sign.session.installation.rawValue), .int(sign.session.session), .int(sign.position)]
    }
}
