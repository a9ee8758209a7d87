-- Gives up every lease of the replica $1.
SELECT gateway.release_leases($1)
