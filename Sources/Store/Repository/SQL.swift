import Postgres

/// Every statement of the gateway, by the name that it has in logs and on the server. A call is named after its
/// function, whose text and promise stand in SQL/functions; the other statements stand in SQL/statements, one file
/// each.
enum SQL {
    // Ingest and windows.
    static let ingestMessages = call(
        "ingest_messages", 18, returning: ["ordinal", "verdict", "session_id", "message_position", "window_open"])
    static let flushWindows = call("flush_windows", 6, returning: ["session_id", "outcome", "task_id", "remaining_ms"])
    static let loadWindows = statement("load_windows", PackageResources.load_windows_sql)
    static let loadOverdueWindows = statement("load_overdue_windows", PackageResources.load_overdue_windows_sql)

    // Queue.
    static let claimTask = call(
        "claim_task", 5,
        returning: [
            "task_id", "session_id", "workspace", "agent", "chat_id", "chat_type", "attempt", "messages", "context",
            "group_context",
        ])
    static let extendTask = call("extend_task", 3)
    static let completeTask = call("complete_task", 4)
    static let failTask = call("fail_task", 4)
    static let expireClaims = call("expire_claims", 0, as: "expired")
    static let addOperatorRole = call("add_operator_role", 1)
    static let addWorkerRole = call("add_worker_role", 2)
    static let removeWorkerRole = call("remove_worker_role", 2, as: "removed")
    static let relieveNotifications = call("relieve_notifications", 1, as: "ended")
    static let listWorkerRoles = statement("list_worker_roles", PackageResources.list_worker_roles_sql)
    static let returnClaims = call("return_claims", 2, as: "returned")

    // Outbox.
    static let takeOutbox = call(
        "take_outbox", 4, casts: [2: "int"],
        returning: [
            "installation_id", "generation", "id", "kind", "receive_id_type", "receive_id", "reply_to", "in_thread",
            "payload", "attempts", "locale", "workspace", "agent", "session_id",
        ])
    static let settleOutbox = call("settle_outbox", 7)
    static let returnOutbox = call("return_outbox", 2, as: "returned")
    static let returnOutboxRow = statement("return_outbox_row", PackageResources.return_outbox_row_sql)
    static let countDeadPrompts = statement("count_dead_prompts", PackageResources.count_dead_prompts_sql)
    static let retryOutbox = call("retry_outbox", 2, as: "retried")
    static let dropOutbox = call("drop_outbox", 1, as: "is_dropped")
    static let listOutbox = statement("list_outbox", PackageResources.list_outbox_sql)
    static let measureOutbox = statement("measure_outbox", PackageResources.measure_outbox_sql)
    static let findAllowedMentions = statement("find_allowed_mentions", PackageResources.find_allowed_mentions_sql)
    static let listTopicMessages = statement("list_topic_messages", PackageResources.list_topic_messages_sql)

    // Leases and connections.
    static let takeLeases = call(
        "take_leases", 7,
        returning: [
            "installation_id", "app_id", "generation", "revision", "domain", "sealed_secret", "sealed_key_id",
            "bot_open_id", "bot_union_id",
        ])
    static let holdLeases = call(
        "hold_leases", 2, returning: ["installation_id", "generation", "revision", "is_wanted"])
    static let checkLeases = call(
        "check_leases", 1, returning: ["installation_id", "generation", "revision", "is_wanted"])
    static let releaseLease = call("release_lease", 3, as: "is_released")
    static let releaseLeases = call("release_leases", 1)
    static let recordConnections = call("record_connections", 6)
    static let listLeaseHolders = statement("list_lease_holders", PackageResources.list_lease_holders_sql)
    static let loadInstallations = statement("load_installations", PackageResources.load_installations_sql)
    static let noteLockedSecrets = call("note_locked_secrets", 1, returning: ["app_id", "sealed_key_id"])
    static let saveBotIdentity = statement("save_bot_identity", PackageResources.save_bot_identity_sql)
    static let statusInstallations = statement("status_installations", PackageResources.status_installations_sql)
    static let listWaitingRuntimes = statement("list_waiting_runtimes", PackageResources.list_waiting_runtimes_sql)

    // Beside a run.
    static let reportProgress = call("report_progress", 4)
    static let takeProgress = call(
        "take_progress", 2, casts: [2: "int"],
        returning: [
            "installation_id", "task_id", "version", "text", "lark_message_id", "attempts", "agent", "chat_id",
            "reply_to", "in_thread",
        ])
    static let settleProgress = statement("settle_progress", PackageResources.settle_progress_sql)
    static let beginTyping = statement("begin_typing", PackageResources.begin_typing_sql)
    static let takeTyping = call(
        "take_typing", 4, casts: [2: "int"],
        returning: ["installation_id", "session_id", "position", "lark_message_id", "reaction_id", "attempts"])
    static let keepTyping = statement("keep_typing", PackageResources.keep_typing_sql)
    static let endTyping = statement("end_typing", PackageResources.end_typing_sql)
    static let countTyping = statement("count_typing", PackageResources.count_typing_sql)
    static let findContextRules = statement("find_context_rules", PackageResources.find_context_rules_sql)
    static let putContext = statement("put_context", PackageResources.put_context_sql)

    // Members and pairing.
    static let makeBindingToken = call("make_binding_token", 4)
    static let findLink = call(
        "find_link", 1,
        returning: ["state", "app_id", "open_id", "agent", "workspace", "locale", "member", "tries_left"])
    static let listInvitations = call("list_invitations", 1, returning: ["invitation", "code_sha256"])
    static let redeemLink = call("redeem_link", 2, as: "outcome")
    static let inviteMember = call("invite_member", 5, as: "is_invited")
    static let findCode = call(
        "find_code", 1,
        returning: [
            "state", "app_id", "open_id", "agent", "workspace", "member", "chat_id", "domain", "sealed_secret",
            "sealed_key_id",
        ])
    static let approveCode = call("approve_code", 3, returning: ["outcome", "open_id", "member", "workspace"])
    static let listMembers = statement("list_members", PackageResources.list_members_sql)
    static let removeMember = statement("remove_member", PackageResources.remove_member_sql)

    // Administration.
    static let applyConfiguration = call("apply_configuration", 3, returning: ["kind", "name", "change"])
    static let addInstallation = statement("add_installation", PackageResources.add_installation_sql)
    static let revokeInstallation = call("revoke_installation", 3, as: "is_revoked")
    static let restoreInstallation = call("restore_installation", 2, as: "is_restored")
    static let resetInstallation = call("reset_installation", 1, as: "overrides")
    static let setSecret = statement("set_secret", PackageResources.set_secret_sql)
    static let resealSecret = statement("reseal_secret", PackageResources.reseal_secret_sql)
    static let findSealedSecret = statement("find_sealed_secret", PackageResources.find_sealed_secret_sql)
    static let listSealedSecrets = statement("list_sealed_secrets", PackageResources.list_sealed_secrets_sql)
    static let listAgents = statement("list_agents", PackageResources.list_agents_sql)
    static let overrideAgent = call("override_agent", 5, as: "is_known")
    static let resetAgent = call("reset_agent", 2, as: "overrides")
    static let logCommand = statement("log_command", PackageResources.log_command_sql)
    static let listCommands = statement("list_commands", PackageResources.list_commands_sql)
    static let findLastCommand = statement("find_last_command", PackageResources.find_last_command_sql)
    static let listOverrides = statement("list_overrides", PackageResources.list_overrides_sql)
    static let listIssues = statement("list_issues", PackageResources.list_issues_sql)

    // Retention.
    static let measureTable = statement("measure_table", PackageResources.measure_table_sql)
    static let pruneDedup = statement("prune_dedup", PackageResources.prune_dedup_sql)
    static let pruneAudit = statement("prune_audit", PackageResources.prune_audit_sql)
    static let pruneContext = statement("prune_context", PackageResources.prune_context_sql)

    private static func statement(_ name: String, _ text: [UInt8]) -> Statement {
        Statement(name: name, sql: String(decoding: text, as: UTF8.self))
    }

    private static func call(
        _ function: String, _ parameters: Int, casts: [Int: String] = [:], returning columns: [String]
    ) -> Statement {
        .call(function, in: "gateway", parameters: parameters, casts: casts, returning: columns)
    }

    private static func call(_ function: String, _ parameters: Int, as column: String = "nothing") -> Statement {
        .call(function, in: "gateway", parameters: parameters, as: column)
    }
}
