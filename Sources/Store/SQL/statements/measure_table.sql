-- Counts the heap blocks of the table $1.
SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint AS blocks
