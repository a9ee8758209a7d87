-- Lists agents, at most $1 (NULL: all), with the number of their active installations, and what commands say of them
-- whatever the file says. total: how many there are.
SELECT w.name AS workspace, a.name, a.runtime_id, a.archived_at IS NOT NULL AS archived, a.origin, a.may_mention_all,
    gateway.agent_overrides(a.id)::text AS overrides,
    (SELECT count(*) FROM gateway.installation i WHERE i.agent_id = a.id AND i.status = 'active') AS installations,
    count(*) OVER () AS total
FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id ORDER BY w.name, a.name LIMIT $1
