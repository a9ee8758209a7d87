-- Gives up the lease of installation $1, generation $2, of the replica $3.
SELECT gateway.release_lease($1, $2, $3) AS is_released
