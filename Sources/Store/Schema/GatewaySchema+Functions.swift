import Postgres

extension GatewaySchema {
    /// Every function, from SQL/functions/SUBJECT/NAME.sql.
    static let definitions = [
        definition("find_or_create_sessions", PackageResources.find_or_create_sessions_sql),
        definition("identify_senders", PackageResources.identify_senders_sql),
        definition("ingest_messages", PackageResources.ingest_messages_sql),
        definition("leave_out_busy", PackageResources.leave_out_busy_sql),
        definition("record_drops", PackageResources.record_drops_sql),
        definition("is_answered_by_runs", PackageResources.is_answered_by_runs_sql),
        definition("issue_key", PackageResources.issue_key_sql),
        definition("run_command", PackageResources.run_command_sql),
        definition("flush_windows", PackageResources.flush_windows_sql),
        definition("reconsider_sessions", PackageResources.reconsider_sessions_sql),
        definition("window_due", PackageResources.window_due_sql),
        definition("claim_task", PackageResources.claim_task_sql),
        definition("complete_task", PackageResources.complete_task_sql),
        definition("expire_claims", PackageResources.expire_claims_sql),
        definition("extend_task", PackageResources.extend_task_sql),
        definition("fail_task", PackageResources.fail_task_sql),
        definition("finish_failed", PackageResources.finish_failed_sql),
        definition("hand_out", PackageResources.hand_out_sql),
        definition("hold_task", PackageResources.hold_task_sql),
        definition("queue_rest", PackageResources.queue_rest_sql),
        definition("refuse_task", PackageResources.refuse_task_sql),
        definition("return_claims", PackageResources.return_claims_sql),
        definition("drop_outbox", PackageResources.drop_outbox_sql),
        definition("put_outbox_for_session", PackageResources.put_outbox_for_session_sql),
        definition("retry_outbox", PackageResources.retry_outbox_sql),
        definition("return_outbox", PackageResources.return_outbox_sql),
        definition("settle_outbox", PackageResources.settle_outbox_sql),
        definition("take_outbox", PackageResources.take_outbox_sql),
        definition("announce_installation", PackageResources.announce_installation_sql),
        definition("begin_connection_state", PackageResources.begin_connection_state_sql),
        definition("check_leases", PackageResources.check_leases_sql),
        definition("count_revision", PackageResources.count_revision_sql),
        definition("hold_leases", PackageResources.hold_leases_sql),
        definition("record_connections", PackageResources.record_connections_sql),
        definition("release_lease", PackageResources.release_lease_sql),
        definition("release_leases", PackageResources.release_leases_sql),
        definition("take_leases", PackageResources.take_leases_sql),
        definition("is_typing_over", PackageResources.is_typing_over_sql),
        definition("report_progress", PackageResources.report_progress_sql),
        definition("take_progress", PackageResources.take_progress_sql),
        definition("take_typing", PackageResources.take_typing_sql),
        definition("approve_code", PackageResources.approve_code_sql),
        definition("bind_sender", PackageResources.bind_sender_sql),
        definition("find_code", PackageResources.find_code_sql),
        definition("find_link", PackageResources.find_link_sql),
        definition("forget_former_member", PackageResources.forget_former_member_sql),
        definition("invite_member", PackageResources.invite_member_sql),
        definition("is_taken", PackageResources.is_taken_sql),
        definition("link_state", PackageResources.link_state_sql),
        definition("list_invitations", PackageResources.list_invitations_sql),
        definition("make_binding_token", PackageResources.make_binding_token_sql),
        definition("most_wrong_codes", PackageResources.most_wrong_codes_sql),
        definition("redeem_link", PackageResources.redeem_link_sql),
        definition("remember_former_member", PackageResources.remember_former_member_sql),
        definition("apply_agent", PackageResources.apply_agent_sql),
        definition("apply_configuration", PackageResources.apply_configuration_sql),
        definition("apply_installation", PackageResources.apply_installation_sql),
        definition("put_installation", PackageResources.put_installation_sql),
        definition("put_secret", PackageResources.put_secret_sql),
        definition("claim_key", PackageResources.claim_key_sql),
        definition("add_worker_role", PackageResources.add_worker_role_sql),
        definition("apply_rights", PackageResources.apply_rights_sql),
        definition("check_worker_role", PackageResources.check_worker_role_sql),
        definition("grant_worker_functions", PackageResources.grant_worker_functions_sql),
        definition("remove_worker_role", PackageResources.remove_worker_role_sql),
        definition("revoke_worker_functions", PackageResources.revoke_worker_functions_sql),
        definition("revoke_installation", PackageResources.revoke_installation_sql),
    ]

    /// The revision of the functions, from the first line of SQL/definitions.sum: `scripts/schema` raises it when a
    /// text has changed.
    static let revision =
        String(decoding: PackageResources.definitions_sum, as: UTF8.self).split(separator: "\n").first
        .flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0

    private static func definition(_ name: String, _ text: [UInt8]) -> Definition {
        Definition(name: name, sql: String(decoding: text, as: UTF8.self))
    }
}
