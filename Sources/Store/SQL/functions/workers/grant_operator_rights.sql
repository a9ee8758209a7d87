-- Gives a role what the commands of administration need: installation, agent, member, outbox, issue and status.
--
-- The role reads no conversation (chat_message, group_context, progress, the payload of outbox) and no sealed secret;
-- it can write a secret. It may let anybody in, give a bot to another agent, and have a bot send a notice. It can
-- neither change the schema nor give rights. Raises 42704 when there is no such role.
-- Called by add_operator_role and apply_rights.
CREATE OR REPLACE FUNCTION gateway.grant_operator_rights(p_role text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA gateway TO %I', p_role);
    EXECUTE format('GRANT SELECT ON gateway.workspace, gateway.agent, gateway.replica, gateway.member,'
        ' gateway.member_binding, gateway.former_member, gateway.binding_token, gateway.invitation,'
        ' gateway.inbound_audit, gateway.chat_session, gateway.pending_run, gateway.agent_task, gateway.issue,'
        ' gateway.worker_role, gateway.agent_override, gateway.installation_override, gateway.command_log,'
        ' gateway.migration, gateway.definition TO %I', p_role);
    -- All columns but sealed_secret.
    EXECUTE format('GRANT SELECT (id, app_id, workspace_id, agent_id, domain, locale, bot_open_id, bot_union_id,'
        ' access, status, lease_holder, lease_generation, lease_expires_at, sealed_key_id, revision, wanted_by,'
        ' free_since, connection_state, connection_reason, connection_since, connection_retry_at, origin, revoked_by,'
        ' tells_of_strangers, is_in_file, lease_renewed_at) ON gateway.installation TO %I', p_role);
    -- All columns but payload.
    EXECUTE format('GRANT SELECT (installation_id, id, seq, kind, receive_id_type, receive_id, reply_to, in_thread,'
        ' attempts, taken_generation, next_attempt_at, created_at, sent_at, dead_at, last_error, lark_message_id,'
        ' session_id) ON gateway.outbox TO %I', p_role);
    EXECUTE format('GRANT INSERT ON gateway.workspace, gateway.agent, gateway.installation, gateway.member,'
        ' gateway.member_binding, gateway.former_member, gateway.invitation, gateway.pending_run, gateway.outbox,'
        ' gateway.agent_override, gateway.installation_override, gateway.command_log TO %I', p_role);
    EXECUTE format('GRANT UPDATE ON gateway.agent, gateway.installation, gateway.member, gateway.former_member,'
        ' gateway.invitation, gateway.agent_override, gateway.installation_override TO %I', p_role);
    EXECUTE format('GRANT UPDATE (used_at) ON gateway.binding_token TO %I', p_role);
    EXECUTE format('GRANT UPDATE (attempts, taken_generation, next_attempt_at, dead_at, last_error) ON gateway.outbox'
        ' TO %I', p_role);
    -- What a change of an agent does to what waits for it (reconsider_sessions).
    EXECUTE format('GRANT UPDATE (claimed_task_id, handed_position) ON gateway.chat_session TO %I', p_role);
    EXECUTE format('GRANT UPDATE (runtime_id, turn, status, finished_at, error) ON gateway.agent_task TO %I', p_role);
    EXECUTE format('GRANT DELETE ON gateway.member, gateway.former_member, gateway.invitation,'
        ' gateway.agent_override, gateway.installation_override TO %I', p_role);
    -- These run with the caller's rights, so they add none.
    EXECUTE format('GRANT EXECUTE ON FUNCTION gateway.apply_agent, gateway.apply_installation,'
        ' gateway.put_installation, gateway.put_secret, gateway.readable_secret, gateway.revoke_installation,'
        ' gateway.restore_installation, gateway.reset_installation, gateway.installation_overrides,'
        ' gateway.note_installation_override, gateway.override_agent, gateway.reset_agent, gateway.agent_overrides,'
        ' gateway.rfc3339,'
        ' gateway.retry_outbox, gateway.drop_outbox, gateway.invite_member, gateway.find_code, gateway.link_state,'
        ' gateway.most_wrong_codes, gateway.approve_code, gateway.is_taken, gateway.bind_sender, gateway.issue_key'
        ' TO %I', p_role);
END $$;
