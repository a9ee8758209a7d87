import Postgres

/// A sign under a message that the agent is at work, taken for putting it there or taking it away.
struct TypingSign: Sendable {
    let session: SessionKey
    let position: Int64
    let messageID: String
    /// nil: not there; or it was asked for, and nobody heard the answer.
    let reactionID: String?
    /// This one included.
    let attempts: Int
    /// To be taken away.
    let isOver: Bool
}

extension Repository {
    /// - Parameter session: nil: of every session of the holder's installations.
    func takeTyping(holder: String, limit: Int, of session: SessionKey? = nil) async throws -> [TypingSign] {
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
                reactionID: try row.optional("reaction_id"), attempts: try row.value("attempts"),
                isOver: try row.value("is_over"))
        }
    }

    func keep(_ sign: TypingSign, reactionID: String) async throws {
        try await run(SQL.keepTyping, Self.key(sign) + [.text(reactionID)])
    }

    func end(_ sign: TypingSign) async throws {
        try await run(SQL.endTyping, Self.key(sign))
    }

    func countTyping(holder: String) async throws -> Int {
        try await run(SQL.countTyping, [.text(holder)]).first?.value("signs") ?? 0
    }

    private static func key(_ sign: TypingSign) -> [PostgresValue] {
        [.int(sign.session.installation.rawValue), .int(sign.session.session), .int(sign.position)]
    }
}
