-- Notes that $1 has done the command $2 to $3, of which 200 letters are kept, and forgets what is over 90 days old.
WITH forgotten AS (
    DELETE FROM gateway.command_log WHERE done_at < clock_timestamp() - interval '90 days'
)
INSERT INTO gateway.command_log (done_by, command, subject) VALUES (left($1, 200), left($2, 200), left($3, 200))
