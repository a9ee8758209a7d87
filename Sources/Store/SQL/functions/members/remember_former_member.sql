-- Records the senders bound to a member as former members, not yet told. Fires before the member is deleted.
CREATE OR REPLACE FUNCTION gateway.remember_former_member() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.former_member (installation_id, open_id)
    SELECT b.installation_id, b.open_id FROM gateway.member_binding b
    WHERE b.workspace_id = OLD.workspace_id AND b.member_id = OLD.id
    ON CONFLICT (installation_id, open_id) DO UPDATE SET removed_at = now(), notified_at = NULL;
    RETURN OLD;
END $$;

CREATE OR REPLACE TRIGGER member_removed BEFORE DELETE ON gateway.member
    FOR EACH ROW EXECUTE FUNCTION gateway.remember_former_member();
