-- Records the outcome of a send, if the row is still claimed under the same lease generation.
--
--   p_error      NULL: the message was sent
--   p_retry_in   backoff until the next attempt; NULL with an error: the row is dead
--   p_told       the reason that the chat is told when a session's reply is dead; NULL: nothing is told
--
-- Called by the gateway's sender.
CREATE OR REPLACE FUNCTION gateway.settle_outbox(
    p_installation bigint, p_generation bigint, p_id uuid, p_lark_message_id text, p_error text, p_retry_in interval,
    p_told text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_row gateway.outbox;
BEGIN
    UPDATE gateway.outbox o
    SET sent_at = CASE WHEN p_error IS NULL THEN clock_timestamp() END,
        dead_at = CASE WHEN p_error IS NOT NULL AND p_retry_in IS NULL THEN clock_timestamp() END,
        next_attempt_at = coalesce(clock_timestamp() + p_retry_in, o.next_attempt_at),
        lark_message_id = p_lark_message_id, last_error = p_error, taken_generation = NULL
    WHERE o.installation_id = p_installation AND o.id = p_id AND o.taken_generation = p_generation
    RETURNING o.* INTO v_row;
    IF v_row.dead_at IS NOT NULL AND v_row.kind = 'reply' AND v_row.session_id IS NOT NULL AND p_told IS NOT NULL THEN
        PERFORM gateway.put_outbox_for_session(p_installation, v_row.session_id, 'notice',
            jsonb_build_object('notice', 'reply_undelivered', 'reason', left(p_told, 300)), NULL);
        PERFORM pg_notify('gateway_outbox', p_installation::text);
    END IF;
END $$;
