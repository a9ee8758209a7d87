import AsyncRuntime

/// Tells a pooler that gives each transaction, or each statement, another session of the server (PgBouncer's pool modes
/// `transaction` and `statement`) from a server. What belongs to a session is lost behind such a one: prepared
/// statements, LISTEN, advisory locks.
///
/// Two connections are open at the same time and say which session they are in. A server gives each a session of its
/// own, from its start to its end; so does a pooler in session mode. Where they were in the same one, or one was in
/// two, sessions are shared. That is a proof; finding nothing is none, but very likely right: with a session to spare,
/// a pooler hands out the one that was used last, or each in turn.
package enum SharedSessions {
    /// Of the server's clock too: a number of a process is used again, and another server may have the same.
    private static let identify = Statement(
        name: "identify_session",
        sql: "SELECT pid || ' ' || backend_start AS session FROM pg_stat_get_activity(pg_backend_pid())",
        isPrepared: false)
    private static let begin = Statement(name: "begin", sql: "BEGIN", isPrepared: false)
    private static let commit = Statement(name: "commit", sql: "COMMIT", isPrepared: false)
    private static let rounds = 4

    /// The sessions that each of the two was in.
    private struct Seen {
        var first: Set<String> = []
        var second: Set<String> = []

        var isProof: Bool { first.count > 1 || second.count > 1 || !first.isDisjoint(with: second) }
    }

    /// Changes nothing.
    /// - Returns: false also where it can't be found out until the deadline: every session is taken, or the server is
    ///   slow.
    /// - Throws: `PostgresError.connection`, `CancellationError`.
    package static func areFound(behind url: String, deadline: Deadline) async throws -> Bool {
        var connections: [Connection] = []
        let outcome: Result<Bool, any Error>
        do {
            for _ in 0..<2 {
                connections.append(
                    try await Connection.connect(
                        to: url, applicationName: "lark-gateway start", preparesStatements: false, deadline: deadline))
            }
            outcome = .success(try await areShared(connections[0], connections[1], deadline))
        } catch PostgresError.connection(let reason) {
            // What PgBouncer says to BEGIN in this mode; a server never refuses it.
            outcome =
                reason.contains("statement pooling") ? .success(true) : .failure(PostgresError.connection(reason))
        } catch is PostgresError {
            outcome = .success(false)
        } catch {
            outcome = .failure(error)
        }
        for connection in connections { await connection.close() }
        return try outcome.get()
    }

    private static func areShared(
        _ first: Connection, _ second: Connection, _ deadline: Deadline
    ) async throws -> Bool {
        var seen = Seen()
        for _ in 0..<rounds {
            seen.first.insert(try await session(of: first, deadline))
            seen.second.insert(try await session(of: second, deadline))
            guard !seen.isProof else { return true }
            // While the second one holds a session, the first one gets another, of those that are left.
            try await second.query(begin, deadline: deadline)
            seen.second.insert(try await session(of: second, deadline))
            guard !seen.isProof else { return true }
            seen.first.insert(try await session(of: first, deadline))
            try await second.query(commit, deadline: deadline)
            guard !seen.isProof else { return true }
        }
        return false
    }

    private static func session(of connection: Connection, _ deadline: Deadline) async throws -> String {
        let rows = try await connection.query(identify, deadline: deadline)
        guard let row = rows.first else { throw PostgresError.unexpectedResult("\(identify.name): no row") }
        return try row.value("session")
    }
}
