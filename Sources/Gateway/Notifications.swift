import AsyncRuntime
import Postgres

/// What the database tells this replica, and whom it wakes.
struct Notifications: Sendable {
    /// As the functions of the database name them.
    enum Channel: String, CaseIterable {
        case outbox = "gateway_outbox"
        case installation = "gateway_installation"
        case window = "gateway_window"
        case progress = "gateway_progress"
        case command = "gateway_command"
    }

    let listener: Listener
    let outboxHasWork: Doorbell
    let windowsMayBeDue: Doorbell
    let hasProgress: Doorbell
    let hasCommands: Doorbell
    let installationsChanged: @Sendable () -> Void
    let outages: OutageLog

    /// Until the task is cancelled. Every role of the database may notify on every channel, as often as it likes: a
    /// flood makes the gateway look once in an interval.
    func run() async {
        let rings = PacedRings<Channel>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await rings.run { answer($0) } }
            group.addTask {
                await listener.run { event in
                    switch event {
                    case .listening:
                        outages.succeeded("listen")
                        for channel in Channel.allCases { answer(channel) }
                    case .notified(let notification):
                        if let channel = Channel(rawValue: notification.channel) { rings.ring(channel) }
                    case .lost(let error, _): outages.failed("listen", error)
                    }
                }
            }
        }
    }

    private func answer(_ channel: Channel) {
        switch channel {
        case .outbox: outboxHasWork.ring()
        case .window: windowsMayBeDue.ring()
        case .progress: hasProgress.ring()
        case .command: hasCommands.ring()
        case .installation: installationsChanged()
        }
    }
}
