-- Ends the claims of the worker $1, which does not know of them: gateway.return_claims, in 016_lost_answers.sql.
SELECT gateway.return_claims($1) AS returned
