-- Ends the membership of $2 in the workspace $1, with all its bindings, and deletes its invitations.
WITH workspace AS (
    SELECT w.id FROM gateway.workspace w WHERE w.name = $1
), uninvited AS (
    DELETE FROM gateway.invitation v USING workspace w WHERE v.workspace_id = w.id AND v.member = $2
    RETURNING v.used_at IS NULL AND v.expires_at > clock_timestamp() AS was_good
), removed AS (
    DELETE FROM gateway.member m USING workspace w WHERE m.workspace_id = w.id AND m.name = $2 RETURNING m.id
)
SELECT EXISTS (SELECT FROM removed) AS was_member, EXISTS (SELECT FROM uninvited u WHERE u.was_good) AS was_invited
