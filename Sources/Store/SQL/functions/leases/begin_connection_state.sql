-- Resets the connection state of a lease that changes hands: the new holder is connecting; without a holder the state
-- is unknown. Fires before an update that changes the holder or the generation.
CREATE OR REPLACE FUNCTION gateway.begin_connection_state() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.connection_state := CASE WHEN NEW.lease_holder IS NOT NULL THEN 'connecting' END;
    NEW.connection_since := CASE WHEN NEW.lease_holder IS NOT NULL THEN clock_timestamp() END;
    NEW.connection_reason := NULL;
    NEW.connection_retry_at := NULL;
    RETURN NEW;
END $$;

-- A renewal sets neither column, so it does not pay for the trigger.
CREATE OR REPLACE TRIGGER installation_changed_hands BEFORE UPDATE OF lease_holder, lease_generation
    ON gateway.installation
    FOR EACH ROW WHEN ((OLD.lease_holder, OLD.lease_generation)
        IS DISTINCT FROM (NEW.lease_holder, NEW.lease_generation))
    EXECUTE FUNCTION gateway.begin_connection_state();
