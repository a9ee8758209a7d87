-- Lists members with the number of bots that each may talk to, and the open invitations with their remaining time: at
-- most $1 (NULL: all). total: how many there are.
SELECT coalesce(m.workspace, v.workspace) AS workspace, coalesce(m.name, v.member) AS name,
    coalesce(m.origin, '') AS origin, 
    (SELECT count(*) FROM gateway.member_binding b
     WHERE b.workspace_id = m.workspace_id AND b.member_id = m.id) AS bots,
    (extract(epoch FROM v.expires_at - clock_timestamp()) * 1000)::bigint AS invited_for_ms, count(*) OVER () AS total
FROM (
    SELECT m.workspace_id, m.id, w.name AS workspace, m.name, m.origin
    FROM gateway.member m JOIN gateway.workspace w ON w.id = m.workspace_id
) m FULL JOIN (
    SELECT w.name AS workspace, v.member, v.expires_at
    FROM gateway.invitation v JOIN gateway.workspace w ON w.id = v.workspace_id
    WHERE v.used_at IS NULL AND v.expires_at > clock_timestamp()
) v ON v.workspace = m.workspace AND v.member = m.name
ORDER BY 1, 2 LIMIT $1
