-- Takes what is due to be sent by the replica $1, at most $2 rows, one per receiver; what is not settled comes again
-- after $3. Nothing of the installations $4: gateway.take_outbox, in 015_outbox_walk.sql.
SELECT installation_id, generation, id, kind, receive_id_type, receive_id, reply_to, in_thread, payload, attempts,
    locale, workspace, agent, session_id
FROM gateway.take_outbox($1, $2::int, $3, $4)
