-- Finds whether the context of the groups of the installation $1 tells what people say who are not let in, and which of
-- the people $2 are: one row for each of these, at least one.
SELECT coalesce(i.tells_of_strangers, i.access = 'open') AS tells_of_strangers, b.open_id
FROM gateway.installation i
LEFT JOIN gateway.member_binding b ON b.installation_id = i.id AND b.open_id = ANY ($2::text[])
WHERE i.id = $1
