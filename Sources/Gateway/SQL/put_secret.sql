-- Stores the sealed secret $2 of the app $1, and the id $3 of the key.
SELECT gateway.put_secret($1, $2, $3) AS is_known
