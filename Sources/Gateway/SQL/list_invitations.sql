-- The invitations that the code given to the link with the hash $1 may be of: gateway.list_invitations, in 014_pairing.sql.
SELECT invitation, code_sha256 FROM gateway.list_invitations($1)
