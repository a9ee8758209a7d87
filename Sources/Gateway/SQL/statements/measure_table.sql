-- How many heap blocks the table $1 has.
SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint AS blocks
