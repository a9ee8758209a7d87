import AsyncRuntime
import Gateway

/// What systemd is told of how the service is.
final class ServiceStatus: Sendable {
    private let line = Mutex(StatusLine())
    private let notifier: SystemdNotifier

    init(_ notifier: SystemdNotifier) {
        self.notifier = notifier
    }

    /// The gateway works, also after a reload. Of one that ends while the gateway stops, nothing is told.
    func ready(installations: Int) {
        line.withLock { line in
            line.installations = installations
            guard !line.isStopping else { return }
            notifier.ready(line.text)
        }
    }

    /// `ready` says when it is done.
    func reloading() { notifier.reloading() }

    func stopping() {
        line.withLock { line in
            line.isStopping = true
            notifier.stopping(line.text)
        }
    }

    func postgresChanged(_ state: PrivatePostgresSupervisor.State) {
        line.withLock { line in
            let before = line.text
            line.postgres = state
            // Under the lock, so that what is told last is what holds.
            if line.text != before { notifier.status(line.text) }
        }
    }

    /// The private Postgres is gone for good, so a restart is what helps.
    var hasGivenUp: Bool { line.withLock { $0.postgres == .givenUp } }

    /// Each beat says that the parts that an ack needs have answered.
    var heartbeat: Heartbeat {
        guard let interval = notifier.watchdogInterval else { return Heartbeat() }
        return Heartbeat(every: interval) { [notifier] in notifier.watchdog() }
    }
}
