-- Invites the member $2 of the workspace $1, or only the person $3, with the hash $4 of a code, for $5:
-- gateway.invite_member, in 014_pairing.sql.
SELECT gateway.invite_member($1, $2, $3, $4, $5) AS is_invited
