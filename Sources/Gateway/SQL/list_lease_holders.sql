-- Who holds the leases of the apps $1.
SELECT DISTINCT lease_holder FROM gateway.installation
WHERE app_id = ANY ($1) AND lease_holder IS NOT NULL
