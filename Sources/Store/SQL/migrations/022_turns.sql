-- Persons take turns in the queue of a runtime: one with a thousand topics keeps nobody else's next task waiting.
-- Tasks that are queued already keep their order (turn 0), and stand before those that come.

ALTER TABLE gateway.agent_task
    ADD person text NOT NULL DEFAULT '',
    ADD turn bigint NOT NULL DEFAULT 0;

CREATE INDEX agent_task_turns ON gateway.agent_task (runtime_id, turn, created_at, id)
    WHERE status = 'queued' AND runtime_id <> '';
CREATE INDEX agent_task_turns_by_installation ON gateway.agent_task (installation_id, runtime_id, turn, created_at, id)
    WHERE status = 'queued' AND runtime_id <> '';
CREATE INDEX agent_task_turns_by_person ON gateway.agent_task (installation_id, person, turn)
    WHERE status = 'queued' AND person <> '';

-- claim_task walks along the turns now.
DROP INDEX gateway.agent_task_queue;
DROP INDEX gateway.agent_task_queue_by_installation;
