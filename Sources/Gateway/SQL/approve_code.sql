-- Redeems the code with the hash $1 for a member named $2: gateway.approve_code, in 014_pairing.sql.
SELECT outcome, open_id, member, workspace FROM gateway.approve_code($1, $2)
