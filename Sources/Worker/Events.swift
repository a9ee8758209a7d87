import AsyncRuntime
import Gateway
import Store

/// Every event that a worker logs of itself; those of the database are in the gateway's catalogue. Field names are
/// column names.
extension LogEvent {
    static func workerStarted(runtime: String, concurrency: Int) -> Self {
        Self(.info, "worker.started", [("runtime_id", .text(runtime)), ("concurrency", .count(concurrency))])
    }

    static func workerStopped(runtime: String) -> Self {
        Self(.info, "worker.stopped", [("runtime_id", .text(runtime))])
    }

    static func taskClaimed(_ task: ClaimedTask, worker: String) -> Self {
        Self(.info, Name.taskClaimed, taskFields(task, attempt: 1) + [("worker", .text(worker))])
    }

    /// - Parameter attempt: with this claim, from 1; here and below.
    static func taskCompleted(_ task: ClaimedTask, attempt: Int, replyBytes: Int, took: Duration) -> Self {
        Self(
            .info, Name.taskCompleted,
            taskFields(task, attempt: attempt) + [
                ("reply_bytes", .count(replyBytes)), ("took_ms", .integer(took.milliseconds)),
            ])
    }

    static func taskFailed(_ task: ClaimedTask, attempt: Int, reason: String, took: Duration) -> Self {
        Self(
            .warning, "task.failed",
            taskFields(task, attempt: attempt) + [
                ("reason", .text(reason)), ("took_ms", .integer(took.milliseconds)),
            ])
    }

    static func taskAttemptFailed(_ task: ClaimedTask, attempt: Int, reason: String, retryIn: Duration) -> Self {
        Self(
            .warning, "task.attempt_failed",
            taskFields(task, attempt: attempt) + [
                ("reason", .text(reason)), ("retry_in_ms", .integer(retryIn.milliseconds)),
            ])
    }

    static func taskRefused(_ task: ClaimedTask, attempt: Int, _ error: any Error) -> Self {
        Self(
            .error, "task.refused",
            taskFields(task, attempt: attempt) + [
                ("error", .text("\(error)")),
                (
                    "hint",
                    .text(
                        "the claim ran out, and the task runs again: raise --lease if this repeats; unless an earlier "
                            + "report was stored, and its answer got lost")
                ),
            ])
    }

    private static func taskFields(_ task: ClaimedTask, attempt: Int) -> [(key: String, value: Value?)] {
        [
            ("task_id", .integer(task.id)), ("session_id", .integer(task.sessionID)), ("agent", .text(task.agent)),
            ("attempt", .count(task.attempt + attempt - 1)),
        ]
    }
}

extension LogEvent.Name {
    package static let taskClaimed = "task.claimed"
    package static let taskCompleted = "task.completed"
}
