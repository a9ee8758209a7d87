-- Decides a batch of inbound messages: gateway.ingest_messages, in 010_chat.sql, does it; 007_set_based.sql says what and in which order it locks.
-- $1..$12: one element per message, in the order of arrival; $13, $14: the silence window and max_wait;
-- $15: leave out the messages of sessions that somebody holds; $16..$18: what each message commands, and what /issue says.
SELECT ordinal, verdict, session_id, message_position, window_open
FROM gateway.ingest_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    nullif($16, '{}'), nullif($17, '{}'), nullif($18, '{}'))
ORDER BY ordinal
