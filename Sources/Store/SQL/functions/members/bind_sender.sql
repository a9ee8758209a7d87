-- Makes a sender a member of the installation's workspace, and puts a private notice to the sender into the outbox.
-- Returns false, and changes nothing of the binding, when the sender is bound already.
--
-- Called by approve_code and redeem_link, which hold the token's lock.
CREATE OR REPLACE FUNCTION gateway.bind_sender(p_installation bigint, p_open_id text, p_member text)
RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace gateway.workspace;
BEGIN
    SELECT w.* INTO v_workspace FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.id = p_installation;
    INSERT INTO gateway.member (workspace_id, name, origin) VALUES (v_workspace.id, p_member, 'command')
    ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;
    INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
    SELECT p_installation, p_open_id, m.workspace_id, m.id FROM gateway.member m
    WHERE m.workspace_id = v_workspace.id AND m.name = p_member
    ON CONFLICT (installation_id, open_id) DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
    VALUES (p_installation, 'notice', 'open_id', p_open_id,
        jsonb_build_object('notice', 'bound', 'member', p_member, 'workspace', v_workspace.name));
    PERFORM pg_notify('gateway_outbox', p_installation::text);
    RETURN true;
END $$;
