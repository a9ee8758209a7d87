-- What the replica $1 still holds.
SELECT installation_id, generation, revision, is_wanted FROM gateway.check_leases($1)
