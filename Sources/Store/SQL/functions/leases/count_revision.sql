-- Increments an installation's revision. Fires before an update that changes what its connection depends on, whoever
-- makes the change; replicas then reload the installation (the trigger installation_announced notifies them).
CREATE OR REPLACE FUNCTION gateway.count_revision() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    -- What was said of it without a holder (note_locked_secrets) was said of what it was before.
    IF NEW.lease_holder IS NULL THEN
        NEW.connection_state := NULL;
        NEW.connection_reason := NULL;
        NEW.connection_since := NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER installation_changed BEFORE UPDATE OF app_id, domain, sealed_secret, status
    ON gateway.installation
    FOR EACH ROW WHEN ((OLD.app_id, OLD.domain, OLD.sealed_secret, OLD.status)
        IS DISTINCT FROM (NEW.app_id, NEW.domain, NEW.sealed_secret, NEW.status))
    EXECUTE FUNCTION gateway.count_revision();
