-- Lists installations, at most $1 (NULL: all), with their lease's holder, the connection as the holder reports it, and
-- how much waits. total: how many there are.
SELECT i.app_id, w.name AS workspace, a.name AS agent, a.runtime_id, a.archived_at IS NOT NULL AS archived, i.status,
    i.access, i.origin, i.sealed_key_id, i.lease_holder, i.lease_generation,
    (i.lease_expires_at > clock_timestamp()) IS TRUE AS is_held,
    CASE WHEN i.lease_expires_at > clock_timestamp() THEN i.connection_state END AS connection_state,
    i.connection_reason,
    ceil(extract(epoch FROM clock_timestamp() - i.connection_since) * 1000)::bigint AS connection_age_ms,
    ceil(extract(epoch FROM i.connection_retry_at - clock_timestamp()) * 1000)::bigint AS connection_retry_in_ms,
    (SELECT count(*) FROM gateway.pending_run p WHERE p.installation_id = i.id) AS open_windows,
    (SELECT count(*) FROM gateway.agent_task t WHERE t.installation_id = i.id AND t.status = 'queued') AS queued_tasks,
    (SELECT count(*) FROM gateway.agent_task t WHERE t.installation_id = i.id AND t.status = 'claimed')
        AS claimed_tasks,
    (SELECT count(*) FROM gateway.outbox o WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL)
        AS outbox_waiting,
    (SELECT floor(extract(epoch FROM clock_timestamp() - min(o.created_at)) * 1000)::bigint FROM gateway.outbox o
     WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL) AS outbox_oldest_ms,
    (SELECT count(*) FROM gateway.outbox o WHERE o.installation_id = i.id AND o.dead_at IS NOT NULL) AS outbox_dead,
    gateway.installation_overrides(i.id)::text AS overrides, gateway.agent_overrides(a.id)::text AS agent_overrides,
    count(*) OVER () AS total
FROM gateway.installation i
JOIN gateway.workspace w ON w.id = i.workspace_id
JOIN gateway.agent a ON a.id = i.agent_id
ORDER BY i.app_id LIMIT $1
