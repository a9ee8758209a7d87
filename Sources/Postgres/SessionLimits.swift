import AsyncRuntime

/// How long the server itself bears with a session. A caller's deadline is shorter, and is what usually ends a
/// statement. These hold when the caller is frozen or out of reach, so that its locks do not stay.
///
/// A session with limits also looks for no name outside of the system's schema: where everybody may make functions in
/// `public`, as up to Postgres 14, one of another role could be called instead of the system's own.
///
/// Set by a statement after connecting, not at the start of the session: poolers refuse `options`. They belong to the
/// session, so they are not for a pooler that shares sessions. What an administrator has set, for the role or in
/// `options` of the URL, stays.
package struct SessionLimits: Sendable {
    /// For one statement, its waits for locks included.
    let statementTimeout: Duration
    /// Between two statements of a transaction.
    let idleInTransaction: Duration

    package init(statementTimeout: Duration, idleInTransaction: Duration) {
        self.statementTimeout = statementTimeout
        self.idleInTransaction = idleInTransaction
    }

    let statement = Statement(
        name: "session_limits",
        sql: """
            SELECT CASE WHEN pg_catalog.current_setting('statement_timeout') = '0'
                    THEN pg_catalog.set_config('statement_timeout', $1, false) END AS statement_timeout,
                CASE WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout') = '0'
                    THEN pg_catalog.set_config('idle_in_transaction_session_timeout', $2, false) END AS idle_timeout,
                pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false) AS search_path
            """, isPrepared: false)

    var values: [PostgresValue] {
        [.text("\(statementTimeout.milliseconds)ms"), .text("\(idleInTransaction.milliseconds)ms")]
    }
}
