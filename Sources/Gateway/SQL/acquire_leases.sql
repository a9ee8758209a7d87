-- Takes over what is free: gateway.acquire_leases, in 005_leases_and_outbox.sql. $1: this replica; $2: holders known to
-- be dead; $3: app ids; $4: TTL.
SELECT installation_id, app_id, generation, bot_open_id, bot_union_id FROM gateway.acquire_leases($1, $2, $3, $4)
