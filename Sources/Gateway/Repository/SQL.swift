import Postgres

/// Every statement of the gateway. The texts stand in SQL/, one per file, named as here, in logs and on the server.
enum SQL {
    static let ingestMessages = statement("ingest_messages", PackageResources.ingest_messages_sql)
    static let flushWindows = statement("flush_windows", PackageResources.flush_windows_sql)
    static let loadWindows = statement("load_windows", PackageResources.load_windows_sql)
    static let loadOverdueWindows = statement("load_overdue_windows", PackageResources.load_overdue_windows_sql)
    static let listLeaseHolders = statement("list_lease_holders", PackageResources.list_lease_holders_sql)
    static let takeLeases = statement("take_leases", PackageResources.take_leases_sql)
    static let loadInstallations = statement("load_installations", PackageResources.load_installations_sql)
    static let listLockedSecrets = statement("list_locked_secrets", PackageResources.list_locked_secrets_sql)
    static let holdLeases = statement("hold_leases", PackageResources.hold_leases_sql)
    static let checkLeases = statement("check_leases", PackageResources.check_leases_sql)
    static let releaseLease = statement("release_lease", PackageResources.release_lease_sql)
    static let releaseLeases = statement("release_leases", PackageResources.release_leases_sql)
    static let recordConnections = statement("record_connections", PackageResources.record_connections_sql)
    static let takeOutbox = statement("take_outbox", PackageResources.take_outbox_sql)
    static let returnOutbox = statement("return_outbox", PackageResources.return_outbox_sql)
    static let settleOutbox = statement("settle_outbox", PackageResources.settle_outbox_sql)
    static let expireClaims = statement("expire_claims", PackageResources.expire_claims_sql)
    static let makeBindingToken = statement("make_binding_token", PackageResources.make_binding_token_sql)
    static let findLink = statement("find_link", PackageResources.find_link_sql)
    static let listInvitations = statement("list_invitations", PackageResources.list_invitations_sql)
    static let redeemLink = statement("redeem_link", PackageResources.redeem_link_sql)
    static let inviteMember = statement("invite_member", PackageResources.invite_member_sql)
    static let approveCode = statement("approve_code", PackageResources.approve_code_sql)
    static let saveBotIdentity = statement("save_bot_identity", PackageResources.save_bot_identity_sql)
    static let applyConfiguration = statement("apply_configuration", PackageResources.apply_configuration_sql)
    static let applyAgent = statement("apply_agent", PackageResources.apply_agent_sql)
    static let applyInstallation = statement("apply_installation", PackageResources.apply_installation_sql)
    static let addInstallation = statement("add_installation", PackageResources.add_installation_sql)
    static let revokeInstallation = statement("revoke_installation", PackageResources.revoke_installation_sql)
    static let restoreInstallation = statement("restore_installation", PackageResources.restore_installation_sql)
    static let putSecret = statement("put_secret", PackageResources.put_secret_sql)
    static let listSealedSecrets = statement("list_sealed_secrets", PackageResources.list_sealed_secrets_sql)
    static let listAgents = statement("list_agents", PackageResources.list_agents_sql)
    static let setAgentRuntime = statement("set_agent_runtime", PackageResources.set_agent_runtime_sql)
    static let archiveAgent = statement("archive_agent", PackageResources.archive_agent_sql)
    static let listMembers = statement("list_members", PackageResources.list_members_sql)
    static let removeMember = statement("remove_member", PackageResources.remove_member_sql)
    static let listOutbox = statement("list_outbox", PackageResources.list_outbox_sql)
    static let measureOutbox = statement("measure_outbox", PackageResources.measure_outbox_sql)
    static let listTopicMessages = statement("list_topic_messages", PackageResources.list_topic_messages_sql)
    static let retryOutbox = statement("retry_outbox", PackageResources.retry_outbox_sql)
    static let dropOutbox = statement("drop_outbox", PackageResources.drop_outbox_sql)
    static let listIssues = statement("list_issues", PackageResources.list_issues_sql)
    static let putContext = statement("put_context", PackageResources.put_context_sql)
    static let reportProgress = statement("report_progress", PackageResources.report_progress_sql)
    static let takeProgress = statement("take_progress", PackageResources.take_progress_sql)
    static let settleProgress = statement("settle_progress", PackageResources.settle_progress_sql)
    static let beginTyping = statement("begin_typing", PackageResources.begin_typing_sql)
    static let takeTyping = statement("take_typing", PackageResources.take_typing_sql)
    static let keepTyping = statement("keep_typing", PackageResources.keep_typing_sql)
    static let endTyping = statement("end_typing", PackageResources.end_typing_sql)
    static let countTyping = statement("count_typing", PackageResources.count_typing_sql)
    static let measureTable = statement("measure_table", PackageResources.measure_table_sql)
    static let pruneDedup = statement("prune_dedup", PackageResources.prune_dedup_sql)
    static let pruneAudit = statement("prune_audit", PackageResources.prune_audit_sql)
    static let pruneContext = statement("prune_context", PackageResources.prune_context_sql)
    static let claimTask = statement("claim_task", PackageResources.claim_task_sql)
    static let returnClaims = statement("return_claims", PackageResources.return_claims_sql)
    static let extendTask = statement("extend_task", PackageResources.extend_task_sql)
    static let completeTask = statement("complete_task", PackageResources.complete_task_sql)
    static let failTask = statement("fail_task", PackageResources.fail_task_sql)
    static let statusInstallations = statement("status_installations", PackageResources.status_installations_sql)

    private static func statement(_ name: String, _ text: [UInt8]) -> Statement {
        Statement(name: name, sql: String(decoding: text, as: UTF8.self))
    }
}

/// The schema `gateway`, as numbered migrations.
package enum GatewaySchema {
    package static let migrator = Migrator(
        schema: "gateway",
        migrations: [
            migration(1, "tables", PackageResources._01_tables_sql),
            migration(2, "ingest", PackageResources._02_ingest_sql),
            migration(3, "windows", PackageResources._03_windows_sql),
            migration(4, "tasks", PackageResources._04_tasks_sql),
            migration(5, "leases_and_outbox", PackageResources._05_leases_and_outbox_sql),
            migration(6, "configuration", PackageResources._06_configuration_sql),
            migration(7, "set_based", PackageResources._07_set_based_sql),
            migration(8, "hub", PackageResources._08_hub_sql),
            migration(9, "administration", PackageResources._09_administration_sql),
            migration(10, "chat", PackageResources._10_chat_sql),
            migration(11, "outbox", PackageResources._11_outbox_sql),
            migration(12, "progress", PackageResources._12_progress_sql),
            migration(13, "taking_in_turns", PackageResources._13_taking_in_turns_sql),
            migration(14, "pairing", PackageResources._14_pairing_sql),
            migration(15, "outbox_walk", PackageResources._15_outbox_walk_sql),
            migration(16, "lost_answers", PackageResources._16_lost_answers_sql),
            migration(17, "failed_runs", PackageResources._17_failed_runs_sql),
            migration(18, "undelivered_replies", PackageResources._18_undelivered_replies_sql),
        ],
        // "larkgate" in ASCII.
        lockKey: 0x6c61_726b_6761_7465)

    private static func migration(_ number: Int, _ name: String, _ text: [UInt8]) -> Migration {
        Migration(number: number, name: name, sql: String(decoding: text, as: UTF8.self))
    }
}
