import AsyncRuntime

/// Counters and gauges, and their OpenMetrics text (OpenMetrics 1.0.0).
package final class Metrics: Sendable {
    package enum Family: String, Sendable, CaseIterable {
        case messages = "lark_gateway_messages"
        case acks = "lark_gateway_acks"
        case framesDropped = "lark_gateway_frames_dropped"
        case eventsIgnored = "lark_gateway_events_ignored"
        case connectionsEnded = "lark_gateway_connections_ended"
        case windowsClosed = "lark_gateway_windows_closed"
        case flushFailures = "lark_gateway_flush_failures"
        case ingestFailures = "lark_gateway_ingest_failures"
        case outbox = "lark_gateway_outbox"
        case claimsExpired = "lark_gateway_claims_expired"
        case connections = "lark_gateway_connections"
        case installations = "lark_gateway_installations"
        case openWindows = "lark_gateway_open_windows"
        case ingestWaiting = "lark_gateway_ingest_waiting"
        case outboxWaiting = "lark_gateway_outbox_waiting"
        case outboxOldest = "lark_gateway_outbox_oldest_seconds"
        case outboxDead = "lark_gateway_outbox_dead"

        var isGauge: Bool {
            switch self {
            case .connections, .installations, .openWindows, .ingestWaiting, .outboxWaiting, .outboxOldest, .outboxDead:
                true
            case .messages, .acks, .framesDropped, .eventsIgnored, .connectionsEnded, .windowsClosed, .flushFailures,
                .ingestFailures, .outbox, .claimsExpired:
                false
            }
        }

        /// The one label's name, for families that have one.
        var label: String? {
            switch self {
            case .messages: "verdict"
            case .acks: "code"
            case .framesDropped: "what"
            case .windowsClosed, .outbox: "outcome"
            case .connectionsEnded: "how"
            case .installations: "state"
            case .eventsIgnored, .flushFailures, .ingestFailures, .claimsExpired, .connections, .openWindows,
                .ingestWaiting, .outboxWaiting, .outboxOldest, .outboxDead:
                nil
            }
        }

        var help: String {
            switch self {
            case .messages: "Messages decided, by verdict."
            case .acks: "Acks sent, by code."
            case .framesDropped: "Frames that were no use, by what they were."
            case .eventsIgnored: "Events of a type that is not handled."
            case .connectionsEnded: "Long connections that ended, normally or by failure."
            case .windowsClosed: "Silence windows closed, by outcome."
            case .flushFailures: "Flushes that failed and are tried again."
            case .ingestFailures: "Messages acked 500 because they could not be stored."
            case .outbox: "Sends to the platform, by outcome."
            case .claimsExpired: "Tasks given back because their worker went silent."
            case .connections: "Long connections that are open."
            case .installations: "Installations that this replica owns, by what their connections do."
            case .openWindows: "Silence windows that are open."
            case .ingestWaiting: "Messages that wait to be stored."
            case .outboxWaiting: "Messages of this replica's installations that wait to be sent."
            case .outboxOldest: "How long the oldest of them has waited."
            case .outboxDead: "Messages of this replica's installations that were given up."
            }
        }
    }

    private struct Key: Hashable {
        let family: Family
        let label: String
    }

    private let values = Mutex([Key: Int]())

    package init() {}

    package func add(_ count: Int = 1, to family: Family, _ label: String = "") {
        values.withLock { $0[Key(family: family, label: label), default: 0] += count }
    }

    package func set(_ family: Family, _ label: String = "", to value: Int) {
        values.withLock { $0[Key(family: family, label: label)] = value }
    }

    package func value(_ family: Family, _ label: String = "") -> Int {
        values.withLock { $0[Key(family: family, label: label)] ?? 0 }
    }

    /// `application/openmetrics-text; version=1.0.0`
    package func openMetrics() -> String {
        let snapshot = values.withLock { $0 }
        var lines: [String] = []
        for family in Family.allCases {
            lines.append("# TYPE \(family.rawValue) \(family.isGauge ? "gauge" : "counter")")
            lines.append("# HELP \(family.rawValue) \(family.help)")
            let suffix = family.isGauge ? "" : "_total"
            var found = snapshot.filter { $0.key.family == family }
            if family.label == nil, found.isEmpty { found = [Key(family: family, label: ""): 0] }
            for (key, value) in found.sorted(by: { $0.key.label < $1.key.label }) {
                let labels = family.label.map { "{\($0)=\"\(Self.escape(key.label))\"}" } ?? ""
                lines.append("\(family.rawValue)\(suffix)\(labels) \(value)")
            }
        }
        return lines.joined(separator: "\n") + "\n# EOF\n"
    }

    private static func escape(_ label: String) -> String {
        label.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
