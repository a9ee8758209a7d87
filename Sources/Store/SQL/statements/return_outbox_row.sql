-- Gives back a row that was claimed and not tried ($1: installation, $2: lease generation, $3: id): the attempt is not
-- counted, and the row can be claimed again after $4. $5: why it was not tried.
UPDATE gateway.outbox
SET taken_generation = NULL, attempts = attempts - 1, next_attempt_at = clock_timestamp() + $4, last_error = $5
WHERE installation_id = $1 AND id = $3 AND taken_generation = $2
