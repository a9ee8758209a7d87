-- Replaces the sealed secret $4 of the app $1 with the same secret as $2, sealed with the key $3, where it is that one
-- still, and the domain is $5 still.
UPDATE gateway.installation SET sealed_secret = $2, sealed_key_id = $3
WHERE app_id = $1 AND sealed_secret = $4 AND domain = $5
RETURNING id
