/// Every event that the daemon logs is a function of `LogEvent` in this folder, a file for each subject; those of a
/// worker are in `Worker`. debug: per frame; info: a decision; warning: will be retried; error: a person must act, and
/// how. Field names are column names.
extension LogEvent {
    /// The names by which others than logs know an event.
    package enum Name {
        package static let messageReceived = "message.received"
        package static let messageIngested = "message.ingested"
        package static let messageDropped = "message.dropped"
        package static let taskQueued = "task.queued"
    }
}
