-- settle_outbox has a seventh parameter, with a default: calls with six arguments find the new function, once the old
-- one is gone.

DROP FUNCTION gateway.settle_outbox(bigint, bigint, uuid, text, text, interval);
