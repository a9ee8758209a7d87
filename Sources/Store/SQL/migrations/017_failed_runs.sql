-- A failed run is remembered with its session: its messages were tried, and no other run is queued for them.

ALTER TABLE gateway.chat_session
    ADD failed_position bigint NOT NULL DEFAULT 0,
    ADD claimed_at timestamptz;

-- They served replicas of a version that was never released.
DROP FUNCTION gateway.acquire_leases(text, text[], text[], interval);
DROP FUNCTION gateway.renew_leases(text, interval);
