-- What an agent may do and what it is told depends on trust: whether it may mention everybody is said for each agent,
-- and whether words of people who are not let in are part of a group's context, for each installation.
--
-- approve_code has a third parameter, with a default: calls with two arguments find the new function, once the old one
-- is gone.

ALTER TABLE gateway.agent ADD COLUMN IF NOT EXISTS may_mention_all boolean NOT NULL DEFAULT false;
ALTER TABLE gateway.installation ADD COLUMN IF NOT EXISTS tells_of_strangers boolean;
DROP FUNCTION IF EXISTS gateway.approve_code(bytea, text);
