-- Deletes audit rows older than $3 in the heap blocks from $1 up to $2; see prune_dedup.
DELETE FROM gateway.inbound_audit a
WHERE a.ctid >= $1::tid AND a.ctid < $2::tid AND a.received_at < now() - $3::interval
