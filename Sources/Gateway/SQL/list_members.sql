-- Every member, and how many bots each may talk to.
SELECT w.name AS workspace, m.name, m.origin,
    (SELECT count(*) FROM gateway.member_binding b WHERE b.workspace_id = m.workspace_id AND b.member_id = m.id) AS bots
FROM gateway.member m JOIN gateway.workspace w ON w.id = m.workspace_id ORDER BY w.name, m.name
