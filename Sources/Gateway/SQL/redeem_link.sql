-- Redeems the link with the hash $1 by the invitation $2, NULL where the code was nobody's: gateway.redeem_link, in
-- 014_pairing.sql.
SELECT gateway.redeem_link($1, $2) AS outcome
