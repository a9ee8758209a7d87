import Foundation
import Store

/// What goes out.
extension LogEvent {
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

    /// - Parameter isRepeated: the same was said today.
    static func outboxDied(_ row: OutboxRow, error: String, isRepeated: Bool) -> Self {
        Self(isRepeated ? .debug : .error, "outbox.died", outboxFields(row) + [("error", .text(error))])
    }

    private static func outboxFields(_ row: OutboxRow) -> [(key: String, value: Value?)] {
        [
            ("installation_id", .installation(row.lease.installation)),
            ("outbox_id", .text(row.id.uuidString.lowercased())),
            ("kind", .text(row.kind)), ("attempts", .count(row.attempts)),
        ]
    }
}
