-- What happens beside a run: the typing sign, the progress card, and what was said in a group before.

-- What stood in a group before the message that opened a session's last window, for the run that gets that message.
CREATE TABLE gateway.group_context (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    position bigint NOT NULL,                       -- of that message
    messages jsonb NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation_id, session_id),
    FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session (installation_id, id) ON DELETE CASCADE
);

-- The reaction under a message that shows that the agent is at work: added when a window opens, removed when nothing of
-- the session waits for the agent any more. The gateway writes the row by itself and not with the message: a typing
-- sign is worth no delay of an ack.
CREATE TABLE gateway.typing (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    position bigint NOT NULL,
    lark_message_id text NOT NULL,
    reaction_id text,                               -- NULL: asked for, and the platform's answer was not received
    attempts int NOT NULL DEFAULT 0,                -- to remove it
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation_id, session_id, position)
);

-- What an agent reports while it works: one card per run, changed in place.
CREATE TABLE gateway.progress (
    installation_id bigint NOT NULL,
    task_id bigint NOT NULL,
    session_id bigint NOT NULL,
    text text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    sent_version bigint NOT NULL DEFAULT 0,         -- the version that the card shows
    lark_message_id text,                           -- NULL: there is no card yet
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation_id, task_id),
    FOREIGN KEY (installation_id, task_id) REFERENCES gateway.agent_task (installation_id, id) ON DELETE CASCADE
);
