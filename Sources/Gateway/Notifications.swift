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

    /// Until the task is cancelled.
    func run() async {
        await listener.run { event in
            switch event {
            case .listening:
                outages.succeeded("listen")
                outboxHasWork.ring()
                windowsMayBeDue.ring()
                hasProgress.ring()
                hasCommands.ring()
                installationsChanged()
            case .notified(let notification):
                switch Channel(rawValue: notification.channel) {
                case .outbox: outboxHasWork.ring()
                case .window: windowsMayBeDue.ring()
                case .progress: hasProgress.ring()
                case .command: hasCommands.ring()
                case .installation: installationsChanged()
                case nil: break
                }
            case .lost(let error, _): outages.failed("listen", error)
            }
        }
    }
}
