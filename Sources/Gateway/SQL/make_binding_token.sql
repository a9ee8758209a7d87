-- Remembers the hashes of a code ($2) and of a link's secret ($3, or NULL) for the sender $4 at the installation $1:
-- gateway.make_binding_token, in 014_pairing.sql.
SELECT gateway.make_binding_token($1, $2, $3, $4)
