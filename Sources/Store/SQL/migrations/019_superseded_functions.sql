-- Functions that only other functions called, and that none calls any more: hand_out has another parameter, and
-- choose_leases is part of take_leases.

DROP FUNCTION IF EXISTS gateway.hand_out(gateway.agent_task, text, interval);
DROP FUNCTION gateway.choose_leases(text, text[], text[], text[], bigint[], interval, interval);
