-- Ends the task $1 of the worker $2 with the reply $3.
SELECT gateway.complete_task($1, $2, $3)
