-- What the connections of the installations $1 are made of; of those that are active.
SELECT id AS installation_id, app_id, lease_generation AS generation, revision, domain, sealed_secret, sealed_key_id,
    bot_open_id, bot_union_id
FROM gateway.installation WHERE id = ANY ($1) AND status = 'active'
