-- Lists the replicas that hold leases.
SELECT DISTINCT lease_holder FROM gateway.installation WHERE lease_holder IS NOT NULL AND status = 'active'
