-- A file that would revoke every bot that the file made before is refused. apply_configuration has a third parameter,
-- with a default: calls with two arguments find the new function, once the old one is gone.

DROP FUNCTION IF EXISTS gateway.apply_configuration(jsonb, jsonb);
