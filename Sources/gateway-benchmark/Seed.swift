import Gateway
import Postgres

/// Rows for measurements that begin with a filled database.
struct Seed {
    let pool: Pool

    /// One active installation with the id 1, at lease generation 1 and free, of an agent on the runtime `default`.
    func installation() async throws {
        try await pool.run("INSERT INTO gateway.workspace (id, name) VALUES (1, 'acme')")
        try await pool.run(
            "INSERT INTO gateway.agent (id, workspace_id, name, runtime_id) VALUES (1, 1, 'support', 'default')")
        try await pool.run(
            """
            INSERT INTO gateway.installation (id, app_id, workspace_id, agent_id, domain, locale, access,
                lease_generation)
            VALUES (1, '\(Rig.app.id)', 1, 1, 'feishu', 'en', 'open', 1)
            """)
        for table in ["workspace", "agent", "installation"] {
            try await pool.run("SELECT setval(pg_get_serial_sequence('gateway.\(table)', 'id'), 1)")
        }
    }

    /// Sessions `first`...`last`, each with `messages` messages of users, the last one unanswered.
    func sessions(_ first: Int, _ last: Int, messages: Int = 1) async throws {
        try await pool.run(
            """
            INSERT INTO gateway.chat_session (id, installation_id, last_position, last_user_position, handed_position,
                answered_position)
            SELECT n, 1, \(messages), \(messages), \(messages - 1), \(messages - 1)
            FROM generate_series(\(first), \(last)) n
            """)
        try await pool.run("SELECT setval(pg_get_serial_sequence('gateway.chat_session', 'id'), \(last))")
        try await pool.run(
            """
            INSERT INTO gateway.chat_binding (installation_id, chat_id, thread_id, session_id, chat_type)
            SELECT 1, 'oc_seed_' || n, '', n, 'p2p' FROM generate_series(\(first), \(last)) n
            """)
        try await pool.run(
            """
            INSERT INTO gateway.chat_message (installation_id, session_id, position, role, sender, content,
                lark_message_id, sent_at)
            SELECT 1, s, p, 'user', 'ou_' || s % 50, 'Message ' || p || ': could you look at the weather in Shanghai?',
                'om_seed_' || s || '_' || p, now()
            FROM generate_series(1, \(messages)) p, generate_series(\(first), \(last)) s
            """)
    }

    /// A queued task for each of the sessions.
    func queuedTasks(_ first: Int, _ last: Int) async throws {
        try await pool.run(
            """
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id)
            SELECT 1, n, 1, 'default' FROM generate_series(\(first), \(last)) n
            """)
    }

    func completedTasks(_ count: Int, sessions: Int) async throws {
        try await pool.run(
            """
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id, status, worker,
                handed_position, lease, claimed_at, finished_at)
            SELECT 1, 1 + n % \(sessions), 1, 'default', 'completed', 'w', 1, interval '60 s', now(), now()
            FROM generate_series(1, \(count)) n
            """)
    }

    func analyze() async throws {
        try await pool.run("VACUUM (ANALYZE)")
        try await pool.run("CHECKPOINT")
    }
}
