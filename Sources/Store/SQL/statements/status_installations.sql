-- Lists installations, at most $1 (NULL: all), with their lease's holder, the connection as the holder reports it, and
-- how much waits; with $3 = true those first that need a person. total: how many there are; needing: how many of them
-- need a person.
--
-- $2: holders whose process is known to be gone. A holder counts as living while its lease runs, and while it was heard
-- of within 0.6 of the lease's time: it renews after half of it at the latest.
--
-- state: revoked; what a living holder reports (connecting, connected, backing_off, refused, draining, locked);
-- locked also where a replica has said so that can't take it; owner_gone: its holder does not live any more; free: it
-- has none. since: since when it is so; of owner_gone, when the holder was heard of last.
WITH judged AS (
    -- Named one by one: who looks at the status may have no right to read secrets.
    SELECT i.id, i.app_id, i.workspace_id, i.agent_id, i.status, i.access, i.origin, i.sealed_key_id, i.lease_holder,
        i.lease_expires_at, i.lease_renewed_at, i.free_since, i.connection_reason, i.connection_since,
        i.connection_retry_at, CASE
            WHEN i.status = 'revoked' THEN 'revoked'
            WHEN i.lease_holder <> ALL ($2) AND i.lease_expires_at > clock_timestamp() AND (
                i.lease_renewed_at IS NULL OR clock_timestamp() - i.lease_renewed_at
                    <= (i.lease_expires_at - i.lease_renewed_at) * 0.6) THEN coalesce(i.connection_state, 'connecting')
            WHEN i.connection_state = 'locked' THEN 'locked'
            WHEN i.lease_holder IS NOT NULL THEN 'owner_gone'
            ELSE 'free' END AS state,
        (SELECT count(*) FROM gateway.outbox o WHERE o.installation_id = i.id AND o.dead_at IS NOT NULL) AS outbox_dead,
        (SELECT count(*) FROM gateway.outbox o
         WHERE o.installation_id = i.id AND o.dead_at > clock_timestamp() - interval '1 day') AS outbox_died
    FROM gateway.installation i
), listed AS (
    SELECT j.*, count(*) OVER () AS total, count(*) FILTER (WHERE n.needs_person) OVER () AS needing
    FROM judged j CROSS JOIN LATERAL (
        SELECT j.state IN ('refused', 'locked', 'owner_gone', 'free') OR j.outbox_died > 0 AS needs_person
    ) n
    ORDER BY ($3 AND n.needs_person) DESC, j.app_id LIMIT $1
)
SELECT i.app_id, w.name AS workspace, a.name AS agent, a.runtime_id, a.archived_at IS NOT NULL AS archived, i.status,
    i.access, i.origin, i.sealed_key_id, i.lease_holder, i.state, i.lease_holder = ANY ($2) AS is_holder_dead,
    CASE WHEN i.state IN ('backing_off', 'refused', 'locked') THEN i.connection_reason END AS reason,
    gateway.rfc3339(s.since) AS since,
    floor(extract(epoch FROM clock_timestamp() - s.since) * 1000)::bigint AS state_age_ms,
    CASE WHEN i.state IN ('backing_off', 'refused') THEN
        ceil(extract(epoch FROM i.connection_retry_at - clock_timestamp()) * 1000)::bigint END AS retry_in_ms,
    gateway.rfc3339(i.lease_renewed_at) AS last_seen,
    floor(extract(epoch FROM clock_timestamp() - i.lease_renewed_at) * 1000)::bigint AS last_seen_ms,
    (SELECT count(*) FROM gateway.pending_run p WHERE p.installation_id = i.id) AS open_windows,
    (SELECT count(*) FROM gateway.agent_task t WHERE t.installation_id = i.id AND t.status = 'queued') AS queued_tasks,
    (SELECT count(*) FROM gateway.agent_task t WHERE t.installation_id = i.id AND t.status = 'claimed')
        AS claimed_tasks,
    (SELECT count(*) FROM gateway.outbox o WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL)
        AS outbox_waiting,
    (SELECT floor(extract(epoch FROM clock_timestamp() - min(o.created_at)) * 1000)::bigint FROM gateway.outbox o
     WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL) AS outbox_oldest_ms,
    i.outbox_dead, i.outbox_died, i.total, i.needing,
    gateway.installation_overrides(i.id)::text AS overrides, gateway.agent_overrides(a.id)::text AS agent_overrides
FROM listed i
JOIN gateway.workspace w ON w.id = i.workspace_id
JOIN gateway.agent a ON a.id = i.agent_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN i.state IN ('free', 'revoked') THEN i.free_since
        WHEN i.state = 'owner_gone' THEN coalesce(i.lease_renewed_at, i.lease_expires_at)
        ELSE i.connection_since END AS since
) s
ORDER BY ($3 AND (i.state IN ('refused', 'locked', 'owner_gone', 'free') OR i.outbox_died > 0)) DESC, i.app_id
