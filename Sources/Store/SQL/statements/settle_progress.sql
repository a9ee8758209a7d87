-- Records that the card of the task $2 is the message $4 and shows version $3. With $4 = NULL the card was not updated:
-- the next attempt comes after $5, never when $5 is NULL.
UPDATE gateway.progress
SET sent_version = CASE WHEN $4 IS NULL THEN sent_version ELSE $3 END, lark_message_id = coalesce($4, lark_message_id),
    attempts = CASE WHEN $4 IS NULL THEN attempts ELSE 0 END,
    next_attempt_at = CASE WHEN $4 IS NULL THEN coalesce(clock_timestamp() + $5, 'infinity') ELSE next_attempt_at END
WHERE installation_id = $1 AND task_id = $2
