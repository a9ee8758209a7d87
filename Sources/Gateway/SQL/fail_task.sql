-- Ends the task $1 of the worker $2 as failed, with the reason $3.
SELECT gateway.fail_task($1, $2, $3)
