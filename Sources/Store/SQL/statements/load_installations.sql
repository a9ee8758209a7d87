-- Loads what the connections of the installations $1 need; active ones only.
SELECT id AS installation_id, app_id, lease_generation AS generation, revision, domain, sealed_secret, sealed_key_id,
    bot_open_id, bot_union_id
FROM gateway.installation WHERE id = ANY ($1) AND status = 'active'
