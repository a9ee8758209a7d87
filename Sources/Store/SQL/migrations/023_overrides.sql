-- What a command says of an agent or a bot counts until a command takes it back, whatever the configuration file says,
-- and is kept with who said it and when. The file's word is kept beside it, to go back to.
--
-- A replica reports when it renewed a lease (lease_renewed_at), and that a secret is locked, for `status`.
--
-- revoke_installation has a third parameter, with a default: calls with two arguments find the new function, once the
-- old one is gone.

ALTER TABLE gateway.agent
    ADD COLUMN configured_runtime_id text,
    ADD COLUMN configured_may_mention_all boolean NOT NULL DEFAULT false,
    ADD COLUMN is_in_file boolean NOT NULL DEFAULT false;
ALTER TABLE gateway.installation
    ADD COLUMN is_in_file boolean NOT NULL DEFAULT false,
    ADD COLUMN lease_renewed_at timestamptz,
    DROP CONSTRAINT installation_connection_state,
    ADD CONSTRAINT installation_connection_state CHECK (
        connection_state IN ('connecting', 'connected', 'backing_off', 'refused', 'draining', 'locked'));

CREATE TABLE gateway.agent_override (
    agent_id bigint NOT NULL REFERENCES gateway.agent (id) ON DELETE CASCADE,
    setting text NOT NULL CONSTRAINT agent_override_setting
        CHECK (setting IN ('runtime', 'may_mention_all', 'archived')),
    made_by text,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (agent_id, setting)
);
CREATE TABLE gateway.installation_override (
    installation_id bigint NOT NULL REFERENCES gateway.installation (id) ON DELETE CASCADE,
    setting text NOT NULL CONSTRAINT installation_override_setting CHECK (setting IN ('revoked', 'app_secret')),
    made_by text,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (installation_id, setting)
);

-- What the file said last, as far as the rows tell; the next start or reload says it again.
UPDATE gateway.agent
SET configured_runtime_id = runtime_id, configured_may_mention_all = may_mention_all,
    is_in_file = origin = 'config' AND archived_by IS DISTINCT FROM 'config';
UPDATE gateway.installation SET is_in_file = true
WHERE origin = 'config' AND revoked_by IS DISTINCT FROM 'config';
INSERT INTO gateway.agent_override (agent_id, setting, made_at)
SELECT a.id, 'archived', a.archived_at FROM gateway.agent a WHERE a.archived_by = 'command';
-- A revoked installation is free since it was revoked.
INSERT INTO gateway.installation_override (installation_id, setting, made_at)
SELECT i.id, 'revoked', i.free_since FROM gateway.installation i WHERE i.revoked_by = 'command';

DROP FUNCTION IF EXISTS gateway.revoke_installation(text, text);
