import Store

/// What becomes of a message.
extension LogEvent {
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

    /// - Parameter bound: whose share the message is too much for.
    static func ingestOverloaded(_ row: IngestRow, _ bound: WaitingShares.Bound, waiting: Int, bytes: Int) -> Self {
        Self(
            .warning, "ingest.overloaded",
            [
                ("waiting", .count(waiting)), ("bytes", .count(bytes)), ("bound", .text(bound.rawValue)),
                ("app_id", bound == .all ? nil : .text(row.message.appID)),
                ("chat_id", bound == .chat ? .text(row.message.chatID) : nil),
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
}
