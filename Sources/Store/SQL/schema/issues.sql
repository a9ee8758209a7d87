-- What people noted with /issue.

CREATE TABLE gateway.issue (
    workspace_id bigint NOT NULL REFERENCES gateway.workspace (id),
    number bigint NOT NULL,
    title text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    description text NOT NULL DEFAULT '',
    created_by text,                                -- open_id
    installation_id bigint,
    session_id bigint,
    lark_message_id text,
    PRIMARY KEY (workspace_id, number)
);
