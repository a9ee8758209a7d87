-- Sends a row again: gateway.retry_outbox, in 011_outbox.sql. $1: its id; NULL: all that were given up; $2: of this app.
SELECT gateway.retry_outbox($1, $2) AS retried
