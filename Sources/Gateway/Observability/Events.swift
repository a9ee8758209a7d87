import Foundation
import Lark
import Postgres
import Store

/// The events that the daemon logs; those of a worker are in `Worker`. debug: per frame; info: a decision; warning:
/// will be retried; error: a person must act, and how. Field names are column names.
extension LogEvent {
    /// The names by which others than logs know an event.
    package enum Name {
        package static let messageReceived = "message.received"
        package static let messageIngested = "message.ingested"
        package static let messageDropped = "message.dropped"
        package static let taskQueued = "task.queued"
    }

    // MARK: Start and stop

    package static func gatewayStarted(
        version: String, transport: String, proxy: String?, replica: String, installations: Int
    ) -> Self {
        Self(
            .info, "gateway.started",
            [
                ("version", .text(version)), ("transport", .text(transport)), ("proxy", proxy.map { .text($0) }),
                ("lease_holder", .text(replica)), ("installations", .count(installations)),
            ])
    }

    static func gatewayStopping() -> Self { Self(.info, "gateway.stopping") }

    package static func gatewayStopped() -> Self { Self(.info, "gateway.stopped") }

    /// A step of the stop, which is done.
    static func shutdownStepEnded(_ step: String, took: Duration) -> Self {
        Self(.debug, "shutdown.step_ended", [("step", .text(step)), ("took_ms", .milliseconds(took))])
    }

    package static func shutdownIncomplete(_ step: String) -> Self {
        Self(
            .error, "gateway.shutdown_incomplete",
            [
                ("unfinished", .text(step)),
                ("hint", .text("nothing is lost: the next start goes on; raise shutdown_timeout if this repeats")),
            ])
    }

    package static func postgresStarted(directory: String, adopted: Bool) -> Self {
        Self(.info, "postgres.started", [("directory", .text(directory)), ("adopted", .boolean(adopted))])
    }

    package static func postgresEnded(
        directory: String, processID: Int32?, wasKilled: Bool, after duration: Duration
    ) -> Self {
        Self(
            .warning, "postgres.ended",
            [
                ("directory", .text(directory)), ("pid", processID.map { .integer(Int64($0)) }),
                ("how", .text(wasKilled ? "killed" : "stopped")), ("lived_ms", .milliseconds(duration)),
            ])
    }

    package static func postgresStartFailed(_ error: any Error, retryIn: Duration) -> Self {
        Self(
            .warning, "postgres.start_failed",
            [("error", .text("\(error)")), ("retry_in_ms", .milliseconds(retryIn))])
    }

    package static func postgresGivenUp(directory: String, _ error: (any Error)?) -> Self {
        Self(
            .error, "postgres.given_up",
            [
                ("directory", .text(directory)),
                ("error", .text(error.map { "\($0)" } ?? "it ends again soon after each start")),
                (
                    "hint",
                    .text(
                        "the daemon stops with code 1, for systemd to start it again: look into postgres.log in the "
                            + "directory, at free memory and free disk space")
                ),
            ])
    }

    package static func schemaChanged(_ change: SchemaChange) -> Self {
        switch change {
        case .created(let migration): Self(.info, "schema.created", [("number", .count(migration))])
        case .migrated(let number, let name):
            Self(.info, "schema.migrated", [("number", .count(number)), ("name", .text(name))])
        case .defined(let functions, let revision):
            Self(.info, "schema.defined", [("functions", .count(functions)), ("revision", .count(revision))])
        }
    }

    package static func metricsListening(host: String, port: Int) -> Self {
        Self(.info, "metrics.listening", [("host", .text(host)), ("port", .count(port))])
    }

    package static func pairingListening(host: String, port: Int) -> Self {
        Self(.info, "pairing.listening", [("host", .text(host)), ("port", .count(port))])
    }

    package static func databaseUnavailable(during: String, _ error: any Error) -> Self {
        Self(.warning, "database.unavailable", [("during", .text(during)), ("error", .text("\(error)"))])
    }

    static func databaseRecovered(during: String, failures: Int, lasted: Duration) -> Self {
        Self(
            .info, "database.recovered",
            [("during", .text(during)), ("failures", .count(failures)), ("lasted_ms", .milliseconds(lasted))])
    }

    static func rowsPruned(_ count: Int) -> Self { Self(.info, "rows.pruned", [("rows", .count(count))]) }

    // MARK: Installations and leases

    package static func configurationReloaded(installations: Int, keysForRestart: [String]) -> Self {
        Self(
            keysForRestart.isEmpty ? .info : .warning, "configuration.reloaded",
            [
                ("installations", .count(installations)),
                ("needs_restart", keysForRestart.isEmpty ? nil : .text(keysForRestart.joined(separator: " "))),
            ])
    }

    package static func configurationRefused(_ error: any Error) -> Self {
        Self(
            .error, "configuration.refused",
            [
                ("error", .text("\(error)")),
                ("hint", .text("everything goes on as before; correct the file, and reload")),
            ])
    }

    /// What the configuration file changed in the database.
    static func configurationApplied(_ change: ConfigurationChange) -> Self {
        let staysRevoked = change.change == "stays_revoked"
        return Self(
            staysRevoked || change.change == "revoked" ? .warning : .info, "\(change.kind).\(change.change)",
            [
                (change.kind == "agent" ? "agent" : "app_id", .text(change.name)),
                (
                    "hint",
                    staysRevoked
                        ? .text("a command revoked it: lark-gateway installation restore, or take it out of the file")
                        : nil
                ),
            ])
    }

    /// Nobody here can connect it.
    static func secretLocked(appID: String, reason: String) -> Self {
        Self(
            .error, "installation.secret_locked",
            [
                ("app_id", .text(appID)), ("reason", .text(reason)),
                ("hint", .text("give the key in sealing.key or sealing.previous, or set the secret anew")),
            ])
    }

    static func credentialsChanged(appID: String) -> Self {
        Self(.info, "installation.credentials_changed", [("app_id", .text(appID))])
    }

    static func leaseAcquired(_ lease: Lease, appID: String) -> Self {
        Self(.info, "lease.acquired", leaseFields(lease, appID))
    }

    static func leaseLost(_ lease: Lease, appID: String, reason: String) -> Self {
        Self(.warning, "lease.lost", leaseFields(lease, appID) + [("reason", .text(reason))])
    }

    static func leaseHandedOver(_ lease: Lease, appID: String) -> Self {
        Self(.info, "lease.handed_over", leaseFields(lease, appID))
    }

    static func leaseHeldElsewhere(appIDs: [String]) -> Self {
        Self(.info, "lease.held_elsewhere", [("app_ids", .text(appIDs.joined(separator: " ")))])
    }

    private static func leaseFields(_ lease: Lease, _ appID: String) -> [(key: String, value: Value?)] {
        [
            ("app_id", .text(appID)), ("installation_id", .installation(lease.installation)),
            ("lease_generation", .integer(lease.generation)),
        ]
    }

    static func botIdentityUnknown(appID: String, _ error: any Error, isKnown: Bool) -> Self {
        // A refused token has an error of its own (`installation.refused`).
        let needsPerson = (error as? OpenAPIError).map { $0.call == "bot_info" && $0.remedy == .giveUp } ?? false
        let hint =
            if isKnown {
                "what is known of the bot is used until this works"
            } else if needsPerson {
                "turn on the bot ability, and what the error names, in the developer console and publish; until then group messages that mention somebody are acked 500"
            } else {
                "group messages that mention somebody are acked 500, and come again, until this works"
            }
        return Self(
            needsPerson ? .error : .warning, "bot_identity.unknown",
            [("app_id", .text(appID)), ("error", .text("\(error)")), ("hint", .text(hint))])
    }

    static func messageDeferred(appID: String) -> Self {
        Self(
            .warning, "message.deferred",
            [
                ("app_id", .text(appID)),
                ("reason", .text("it mentions somebody, and who the bot is is not known yet")),
                ("hint", .text("acked 500: the platform delivers it again; see bot_identity.unknown")),
            ])
    }

    static func botIdentified(appID: String, _ bot: BotIdentity) -> Self {
        Self(
            .info, "bot_identity.found",
            [
                ("app_id", .text(appID)), ("bot_open_id", bot.openID.map { .text($0) }),
                ("bot_union_id", bot.unionID.map { .text($0) }),
            ])
    }

    // MARK: Connections

    /// Every change of what `status` shows.
    static func connectionState(appID: String, _ state: ConnectionState) -> Self {
        Self(
            .debug, "connection.state",
            [
                ("app_id", .text(appID)), ("state", .text(state.name)), ("reason", state.reason.map { .text($0) }),
                ("retry_in_ms", state.retryAt.map { .milliseconds(ContinuousClock.now.duration(to: $0)) }),
            ])
    }

    static func connectionOpened(appID: String, serviceID: Int32) -> Self {
        Self(.info, "connection.opened", [("app_id", .text(appID)), ("service_id", .integer(Int64(serviceID)))])
    }

    static func connectionClosed(appID: String, _ end: LongConnection.End, lived: Duration, retryIn: Duration?) -> Self
    {
        let isNormal =
            switch end {
            case .normal, .stopped: true
            case .failed: false
            }
        return Self(
            isNormal ? .info : .warning, "connection.closed",
            [
                ("app_id", .text(appID)), ("reason", .text("\(end)")), ("lived_ms", .milliseconds(lived)),
                ("retry_in_ms", retryIn.map { .milliseconds($0) }),
            ])
    }

    static func connectionUnstable(appID: String, ends: Int, within window: Duration) -> Self {
        Self(
            .warning, "connection.unstable",
            [
                ("app_id", .text(appID)), ("ends", .count(ends)), ("within_s", .count(Int(window.components.seconds))),
                (
                    "hint",
                    .text(
                        "more ends than the platform's habit: look at the reasons in connection.closed, and at the network"
                    )
                ),
            ])
    }

    static func connectionFailed(appID: String, reason: String, retryIn: Duration) -> Self {
        Self(
            .warning, "connection.failed",
            [("app_id", .text(appID)), ("reason", .text(reason)), ("retry_in_ms", .milliseconds(retryIn))])
    }

    static func installationRefused(appID: String, code: Int, reason: String, retryIn: Duration) -> Self {
        Self(
            .error, "installation.refused",
            [
                ("app_id", .text(appID)), ("code", .count(code)), ("reason", .text(reason)),
                ("retry_in_ms", .milliseconds(retryIn)),
                (
                    "hint",
                    .text(
                        code == ConnectFailure.tooManyConnections
                            ? "stop the other processes of this app, or make a new app secret and give it to this gateway alone"
                            : "correct the app in the developer console or in the configuration, then restart")
                ),
            ])
    }

    static func platformUnreachable(domain: String, _ error: any Error) -> Self {
        Self(
            .warning, "platform.unreachable",
            [
                ("domain", .text(domain)), ("error", .text("\(error)")),
                ("hint", .text("what is to be sent there waits, and goes out when the platform answers again")),
            ])
    }

    static func platformRecovered(domain: String, failures: Int, lasted: Duration) -> Self {
        Self(
            .info, "platform.recovered",
            [("domain", .text(domain)), ("failures", .count(failures)), ("lasted_ms", .milliseconds(lasted))])
    }

    static func frameDropped(appID: String, _ dropped: LongConnectionMachine.Dropped) -> Self {
        let detail =
            switch dropped {
            case .notAFrame(let error, let bytes): "\(error), in \(bytes) bytes"
            case .textMessage(let bytes): "\(bytes) bytes"
            case .unknownMethod(let method): "\(method)"
            case .part(let reason): reason
            case .expiredParts(let events): "\(events) events"
            }
        return Self(
            .warning, "frame.dropped",
            [("app_id", .text(appID)), ("what", .text(dropped.name)), ("detail", .text(detail))])
    }

    static func frameIgnored(appID: String, type: String) -> Self {
        Self(.info, "frame.ignored", [("app_id", .text(appID)), ("type", .text(String(type.prefix(64))))])
    }

    static func eventIgnored(appID: String, type: String, traceID: String?) -> Self {
        Self(
            .debug, "event.ignored",
            [
                ("app_id", .text(appID)), ("type", .text(String(type.prefix(64)))),
                ("trace_id", traceID.map { .text($0) }),
            ])
    }

    static func eventUndecodable(appID: String, reason: String, bytes: Int, traceID: String?) -> Self {
        Self(
            .warning, "event.undecodable",
            [
                ("app_id", .text(appID)), ("reason", .text(reason)), ("bytes", .count(bytes)),
                ("trace_id", traceID.map { .text($0) }),
            ])
    }

    // MARK: Messages

    static func messageReceived(_ row: IngestRow) -> Self {
        Self(.debug, Name.messageReceived, messageFields(row))
    }

    static func messageDecided(_ row: IngestRow, _ result: IngestResult, batch: Int, took: Duration) -> Self {
        let name = result.verdict == .ingested ? Name.messageIngested : Name.messageDropped
        let level: Level = result.verdict == .invalidEvent ? .warning : .info
        return Self(
            level, name,
            messageFields(row) + [
                ("reason", result.verdict == .ingested ? nil : .text(result.verdict.rawValue)),
                ("detail", row.message.faultReason.map { .text($0) }),
                ("command", result.verdict == .ingested ? row.command.map { .text($0.name) } : nil),
                ("session_id", result.session.map { .integer($0.session) }),
                ("position", result.position.map { .integer($0) }),
                ("repaired", row.message.wasRepaired ? .boolean(true) : nil),
                ("batch", .count(batch)), ("took_ms", .milliseconds(took)),
            ])
    }

    static func ingestFailed(messages: Int, _ error: any Error) -> Self {
        Self(
            .error, "ingest.failed",
            [
                ("messages", .count(messages)), ("error", .text("\(error)")),
                ("hint", .text("acked 500: the platform delivers them again; check Postgres")),
            ])
    }

    static func ingestRecovered(failures: Int) -> Self {
        Self(.info, "ingest.recovered", [("failures", .count(failures))])
    }

    static func ingestOverloaded(waiting: Int, bytes: Int) -> Self {
        Self(
            .warning, "ingest.overloaded",
            [
                ("waiting", .count(waiting)), ("bytes", .count(bytes)),
                ("hint", .text("acked 500 until Postgres catches up")),
            ])
    }

    private static func messageFields(_ row: IngestRow) -> [(key: String, value: Value?)] {
        func text(_ value: String) -> Value? { value.isEmpty ? nil : .text(value) }
        return [
            ("app_id", .text(row.message.appID)), ("installation_id", .installation(row.lease.installation)),
            ("lark_message_id", text(row.message.messageID)), ("event_id", text(row.message.eventID)),
            ("chat_id", text(row.message.chatID)), ("thread_id", text(row.message.threadID)),
        ]
    }

    // MARK: Windows and tasks

    static func windowsRestored(_ count: Int) -> Self {
        Self(.info, "windows.restored", [("count", .count(count))])
    }

    static func windowClosed(_ key: SessionKey, _ outcome: FlushOutcome) -> Self {
        let base: [(key: String, value: Value?)] = [
            ("installation_id", .installation(key.installation)), ("session_id", .integer(key.session)),
        ]
        switch outcome {
        case .queued(let taskID):
            return Self(.info, Name.taskQueued, base + [("task_id", taskID.map { .integer($0) })])
        case .agentOffline, .agentArchived:
            return Self(.info, "notice.queued", base + [("notice", .text(outcome.name))])
        case .empty: return Self(.info, "window.empty", base)
        case .gone: return Self(.debug, "window.gone", base)
        case .notDue(let wait): return Self(.debug, "window.not_due", base + [("remaining_ms", .milliseconds(wait))])
        case .busy: return Self(.debug, "window.busy", base)
        case .fenced: return Self(.warning, "window.fenced", base)
        }
    }

    static func flushFailed(windows: Int, _ error: any Error, retryIn: Duration?) -> Self {
        Self(
            .error, "window.flush_failed",
            [
                ("windows", .count(windows)), ("error", .text("\(error)")),
                ("retry_in_ms", retryIn.map { .milliseconds($0) }),
                ("hint", .text("the windows stay in Postgres; check that it is up")),
            ])
    }

    static func claimsExpired(_ count: Int) -> Self {
        Self(.warning, "task.claims_expired", [("count", .count(count))])
    }

    // MARK: Members

    static func pairingBound(_ link: PairingLinkState) -> Self {
        Self(.info, "pairing.bound", pairingFields(link))
    }

    static func pairingRefused(_ link: PairingLinkState, reason: String) -> Self {
        Self(.warning, "pairing.refused", pairingFields(link) + [("reason", .text(reason))])
    }

    private static func pairingFields(_ link: PairingLinkState) -> [(key: String, value: Value?)] {
        [("app_id", .text(link.appID)), ("workspace", .text(link.workspace)), ("open_id", .text(link.openID))]
    }

    // MARK: Outbox

    static func outboxSent(_ row: OutboxRow, larkMessageID: String, took: Duration) -> Self {
        Self(
            .info, "outbox.sent",
            outboxFields(row) + [("lark_message_id", .text(larkMessageID)), ("took_ms", .milliseconds(took))])
    }

    static func outboxRetried(_ row: OutboxRow, error: String, retryIn: Duration) -> Self {
        Self(
            .warning, "outbox.retried",
            outboxFields(row) + [("error", .text(error)), ("retry_in_ms", .milliseconds(retryIn))])
    }

    static func outboxDied(_ row: OutboxRow, error: String) -> Self {
        Self(.error, "outbox.died", outboxFields(row) + [("error", .text(error))])
    }

    static func contextFailed(_ session: SessionKey, _ error: any Error, isRefused: Bool) -> Self {
        Self(
            isRefused ? .warning : .info, "context.failed",
            [
                ("installation_id", .installation(session.installation)), ("session_id", .integer(session.session)),
                ("error", .text("\(error)")),
                (
                    "hint",
                    isRefused ? .text("without this permission agents do not see what was said in a group before") : nil
                ),
            ])
    }

    static func progressFailed(_ row: ProgressRow, _ error: OpenAPIError) -> Self {
        Self(
            .info, "progress.failed",
            [
                ("installation_id", .installation(row.installation)), ("task_id", .integer(row.taskID)),
                ("attempts", .count(row.attempts)), ("error", .text("\(error)")),
            ])
    }

    static func typingFailed(_ sign: TypingSign, _ error: OpenAPIError) -> Self {
        Self(
            error.isMissingPermission ? .warning : .debug, "typing.failed",
            [
                ("installation_id", .installation(sign.session.installation)),
                ("session_id", .integer(sign.session.session)), ("attempts", .count(sign.attempts)),
                ("error", .text("\(error)")),
                (
                    "hint",
                    error.isMissingPermission ? .text("without this permission there is no typing indicator") : nil
                ),
            ])
    }

    private static func outboxFields(_ row: OutboxRow) -> [(key: String, value: Value?)] {
        [
            ("installation_id", .installation(row.lease.installation)),
            ("outbox_id", .text(row.id.uuidString.lowercased())),
            ("kind", .text(row.kind)), ("attempts", .count(row.attempts)),
        ]
    }
}
