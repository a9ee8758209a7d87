-- Renews the claim of the worker $2 on the task $1.
SELECT gateway.extend_task($1, $2)
