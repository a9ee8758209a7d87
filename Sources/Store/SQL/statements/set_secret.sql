-- Gives the app $1 a secret that is sealed ($2, with the key $3) for the domain $4, and that domain, unless its domain
-- is another one than $5 meanwhile. The holder of the lease connects again. Who gave it ($6) is noted: it counts
-- whatever the file says.
WITH changed AS (
    UPDATE gateway.installation SET sealed_secret = $2, sealed_key_id = $3, domain = $4
    WHERE app_id = $1 AND domain = $5 RETURNING id
)
SELECT c.id, gateway.note_installation_override(c.id, 'app_secret', $6) FROM changed c
