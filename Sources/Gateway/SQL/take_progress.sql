-- Takes what is to be shown by the replica $1, at most $2 cards: gateway.take_progress, in 012_progress.sql.
SELECT installation_id, task_id, version, text, lark_message_id, attempts, agent, chat_id, reply_to, in_thread
FROM gateway.take_progress($1, $2::int)
