-- Lists the agents and installations that the file has made and of which commands say something, at most $1.
SELECT 'agent' AS kind, w.name || '/' || a.name AS name, gateway.agent_overrides(a.id)::text AS overrides
FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
WHERE a.origin = 'config' AND a.id IN (SELECT o.agent_id FROM gateway.agent_override o)
UNION ALL
SELECT 'installation', i.app_id, gateway.installation_overrides(i.id)::text FROM gateway.installation i
WHERE i.origin = 'config' AND i.id IN (SELECT o.installation_id FROM gateway.installation_override o)
ORDER BY 1, 2 LIMIT $1
