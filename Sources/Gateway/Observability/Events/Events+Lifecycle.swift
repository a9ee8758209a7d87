import Postgres

/// The daemon itself: its start, its stop, its Postgres, its listeners.
extension LogEvent {
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

    /// What ended the daemon, or kept it from starting; its last event.
    /// - Parameter key: of the configuration.
    /// - Parameter mistakes: of the configuration; nil: it is not about that.
    package static func gatewayFailed(
        _ error: String, key: String?, file: String, mistakes: Int?, code: Int32, hint: String
    ) -> Self {
        Self(.error, "gateway.failed", failure(error, key: key, file: file, mistakes: mistakes, code: code, hint: hint))
    }

    /// The same of a worker.
    package static func workerFailed(
        _ error: String, key: String?, file: String, mistakes: Int?, code: Int32, hint: String
    ) -> Self {
        Self(.error, "worker.failed", failure(error, key: key, file: file, mistakes: mistakes, code: code, hint: hint))
    }

    private static func failure(
        _ error: String, key: String?, file: String, mistakes: Int?, code: Int32, hint: String
    ) -> [(key: String, value: Value?)] {
        [
            ("error", .text(error)), ("key", key.map { .text($0) }), ("file", .text(file)),
            ("mistakes", mistakes.map { .count($0) }), ("exit_code", .integer(Int64(code))), ("hint", .text(hint)),
        ]
    }

    /// One of several mistakes of the configuration, before the event that ends the process.
    package static func configurationInvalid(_ error: String, key: String?, hint: String) -> Self {
        Self(
            .error, "configuration.invalid",
            [("error", .text(error)), ("key", key.map { .text($0) }), ("hint", .text(hint))])
    }

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

    /// An error where trying again does not help.
    package static func databaseUnavailable(during: String, _ error: any Error) -> Self {
        let fields: [(key: String, value: Value?)] = [("during", .text(during)), ("error", .text("\(error)"))]
        guard case PostgresError.statement(let refusal) = error, refusal.isLasting else {
            return Self(.warning, "database.unavailable", fields)
        }
        return Self(.error, "database.unavailable", fields + [("hint", .text(refusal.advice))])
    }

    /// The configuration file names the runtime for a worker's role of the private Postgres.
    package static func workerRoleGiven(role: String, runtime: String) -> Self {
        Self(.info, "worker_role.added", [("role_name", .text(role)), ("runtime_id", .text(runtime))])
    }

    /// It does not name it any more.
    package static func workerRoleTaken(role: String, runtime: String) -> Self {
        Self(.info, "worker_role.removed", [("role_name", .text(role)), ("runtime_id", .text(runtime))])
    }

    /// Postgres's queue of notifications was filling up.
    static func notificationsRelieved(sessions: Int) -> Self {
        let hint =
            sessions > 0
            ? "an agent floods the database: see what runs as a worker's role (pg_stat_activity), and stop its unit or take "
                + "the role with lark-gateway worker-role remove"
            : "no worker did it: end the session that listens and leaves a transaction open (pg_stat_activity)"
        return Self(.error, "notifications.relieved", [("sessions_ended", .count(sessions)), ("hint", .text(hint))])
    }

    static func databaseRecovered(during: String, failures: Int, lasted: Duration) -> Self {
        Self(
            .info, "database.recovered",
            [("during", .text(during)), ("failures", .count(failures)), ("lasted_ms", .milliseconds(lasted))])
    }

    static func rowsPruned(_ count: Int) -> Self { Self(.info, "rows.pruned", [("rows", .count(count))]) }
}
