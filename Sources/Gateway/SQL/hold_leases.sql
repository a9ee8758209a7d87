-- Renews every lease of the replica $1 by the TTL $2; returns what it still holds.
SELECT installation_id, generation, revision, is_wanted FROM gateway.hold_leases($1, $2)
