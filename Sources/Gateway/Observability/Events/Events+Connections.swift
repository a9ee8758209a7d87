import Lark
import Store

/// Connections to the platform, and what comes over them before it is a message.
extension LogEvent {
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

    static func endpointRefused(appID: String, reason: String, retryIn: Duration) -> Self {
        Self(
            .error, "endpoint.refused",
            [
                ("app_id", .text(appID)), ("reason", .text(reason)), ("retry_in_ms", .milliseconds(retryIn)),
                (
                    "hint",
                    .text(
                        "nothing was sent there: look at the installation's domain and at who answers in its name; "
                            + "for a platform of your own network set network.insecure, if that is what you want")
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
}
