-- How many signs the installations of the replica $1 have.
SELECT count(*) AS signs FROM gateway.typing t JOIN gateway.installation i ON i.id = t.installation_id
WHERE i.lease_holder = $1
