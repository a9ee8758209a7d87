import Lark
import Store

/// What happens beside a run.
extension LogEvent {
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
}
