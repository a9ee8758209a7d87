-- Workers get database roles of their own, and claims a key. The worker functions have a new parameter at their end,
-- with a default: calls without it find the new functions, once the old ones are gone.

ALTER TABLE gateway.agent_task ADD claim_key bytea;
CREATE TABLE gateway.worker_role (
    role_name text NOT NULL,
    runtime_id text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (role_name, runtime_id)
);
DROP FUNCTION gateway.claim_task(text, text, interval, bigint);
DROP FUNCTION gateway.extend_task(bigint, text);
DROP FUNCTION gateway.complete_task(bigint, text, text);
DROP FUNCTION gateway.fail_task(bigint, text, text);
DROP FUNCTION gateway.report_progress(bigint, text, text);
DROP FUNCTION gateway.return_claims(text);
DROP FUNCTION IF EXISTS gateway.hold_task(bigint, text);
DROP FUNCTION IF EXISTS gateway.hand_out(gateway.agent_task, gateway.chat_session, text, interval);
