-- Claims the oldest task of the runtime $1 for the worker $2 and the lease $3; no row where there is none.
SELECT task_id, session_id, workspace, agent, chat_id, chat_type, attempt, messages, context,
    group_context FROM gateway.claim_task($1, $2, $3)
