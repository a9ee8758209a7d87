import Store

/// Windows and tasks.
extension LogEvent {
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
}
