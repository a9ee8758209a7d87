-- Lets be taken again what the replica $1 has taken and does not know of, all but $2: gateway.return_outbox, in
-- 016_lost_answers.sql.
SELECT gateway.return_outbox($1, $2) AS returned
