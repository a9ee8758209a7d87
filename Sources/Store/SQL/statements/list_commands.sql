-- Lists what was done by command after the row $1, in its order, at most $2.
SELECT id, done_by, command, subject FROM gateway.command_log WHERE id > $1 ORDER BY id LIMIT $2
