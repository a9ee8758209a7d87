-- Deletes dedup rows older than $3, in the heap blocks from $1 up to $2 (written as row addresses). The platform
-- delivers nothing again after a day. A walk over the heap needs no index by age, and never reads deleted rows twice.
DELETE FROM gateway.inbound_dedup d
WHERE d.ctid >= $1::tid AND d.ctid < $2::tid AND d.received_at < now() - $3::interval
