-- Remembers the hash $2 of a code for the sender $3 at the installation $1, for 15 minutes by the server's clock.
INSERT INTO gateway.binding_token (installation_id, token_sha256, open_id, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + interval '15 minutes')
