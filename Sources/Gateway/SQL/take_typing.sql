-- Takes the signs that are over: gateway.take_typing, in 010_chat.sql. $1: this replica; $2: at most so many; $3, $4: an
-- installation and a session, NULL: all.
SELECT installation_id, session_id, position, lark_message_id, reaction_id, attempts
FROM gateway.take_typing($1, $2::int, $3, $4)
