-- Notifies the replicas (gateway_installation). Fires when an installation is added, gets a new revision, is wanted by
-- a replica, or is released.
CREATE OR REPLACE FUNCTION gateway.announce_installation() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NOTIFY gateway_installation;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER installation_added AFTER INSERT ON gateway.installation
    FOR EACH ROW EXECUTE FUNCTION gateway.announce_installation();

CREATE OR REPLACE TRIGGER installation_announced AFTER UPDATE ON gateway.installation
    FOR EACH ROW WHEN (OLD.revision <> NEW.revision
        OR (NEW.wanted_by IS NOT NULL AND OLD.wanted_by IS DISTINCT FROM NEW.wanted_by)
        OR (NEW.lease_holder IS NULL AND (OLD.lease_holder, OLD.wanted_by) IS DISTINCT FROM (NULL, NEW.wanted_by)))
    EXECUTE FUNCTION gateway.announce_installation();
