-- Tells running gateways that a command has left a row in command_log (gateway_command).
CREATE OR REPLACE FUNCTION gateway.announce_command() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NOTIFY gateway_command;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER command_logged AFTER INSERT ON gateway.command_log
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.announce_command();
