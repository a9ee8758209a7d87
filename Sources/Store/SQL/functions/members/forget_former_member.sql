-- Deletes the former_member row of a sender. Fires after the sender is bound.
CREATE OR REPLACE FUNCTION gateway.forget_former_member() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM gateway.former_member f WHERE f.installation_id = NEW.installation_id AND f.open_id = NEW.open_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER member_bound AFTER INSERT ON gateway.member_binding
    FOR EACH ROW EXECUTE FUNCTION gateway.forget_former_member();
