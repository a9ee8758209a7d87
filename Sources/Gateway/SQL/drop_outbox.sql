-- Gives the row $1 up: gateway.drop_outbox, in 011_outbox.sql.
SELECT gateway.drop_outbox($1) AS is_dropped
