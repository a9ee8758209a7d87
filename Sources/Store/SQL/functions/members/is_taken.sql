-- Returns whether another open_id than p_open_id is bound to the member p_member of the installation's workspace, with
-- this bot or with another one. One person has an open_id of their own with each bot, so the answer can be true for a
-- person who is the member: who knows them decides.
--
-- Locks: the member (FOR UPDATE), so that of two senders who get a name at once the second one finds the first. Called
-- by approve_code.
CREATE OR REPLACE FUNCTION gateway.is_taken(p_installation bigint, p_open_id text, p_member text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_member gateway.member;
BEGIN
    -- Made here where there is none: a row that does not exist can't be locked.
    INSERT INTO gateway.member (workspace_id, name, origin)
    SELECT i.workspace_id, p_member, 'command' FROM gateway.installation i WHERE i.id = p_installation
    ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;
    SELECT m.* INTO v_member FROM gateway.member m JOIN gateway.installation i ON i.workspace_id = m.workspace_id
    WHERE i.id = p_installation AND m.name = p_member FOR UPDATE OF m;
    RETURN EXISTS (SELECT FROM gateway.member_binding b
        WHERE b.workspace_id = v_member.workspace_id AND b.member_id = v_member.id AND b.open_id <> p_open_id);
END $$;
