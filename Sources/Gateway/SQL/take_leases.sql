-- Takes over what is free, and asks for what others have too much of: gateway.take_leases, in
-- 013_taking_in_turns.sql. $1: this replica; $2: holders known to be dead; $3: app ids whose secret it knows; $4: sealing keys that it has; $5: installations that
-- it uses; $6: TTL; $7: grace.
SELECT installation_id, app_id, generation, revision, domain, sealed_secret, sealed_key_id, bot_open_id, bot_union_id
FROM gateway.take_leases($1, $2, $3, $4, $5, $6, $7)
