-- Finds the newest row of command_log; 0 where there is none.
SELECT coalesce(max(id), 0) AS id FROM gateway.command_log
