-- The task $1 of the worker $2 says how far it is: gateway.report_progress, in 012_progress.sql.
SELECT gateway.report_progress($1, $2, $3)
