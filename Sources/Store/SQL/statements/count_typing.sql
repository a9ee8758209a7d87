-- Counts the typing signs of the installations that the replica $1 holds.
SELECT count(*) AS signs FROM gateway.typing t JOIN gateway.installation i ON i.id = t.installation_id
WHERE i.lease_holder = $1
