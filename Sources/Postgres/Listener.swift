import AsyncRuntime

/// A NOTIFY that came in.
package struct Notification: Sendable, Equatable {
    package let channel: String
    package let payload: String
}

/// Holds a connection that LISTENs, for as long as `run` runs, and makes it again with backoff when it breaks.
package struct Listener: Sendable {
    package enum Event: Sendable {
        /// LISTEN is in force from now on; what was notified before is lost, so look once yourself.
        case listening
        case notified(Notification)
        case lost(any Error, retryIn: Duration)
    }

    private let url: String
    private let channels: [String]

    package init(url: String, channels: [String]) {
        self.url = url
        self.channels = channels
    }

    /// Until the task is cancelled.
    package func run(_ receive: @Sendable (Event) async -> Void) async {
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(15))
        while !Task.isCancelled {
            var connection: Connection?
            do {
                let opened = try await Connection.connect(
                    to: url, applicationName: "lark-gateway listen", deadline: .after(.seconds(10)))
                connection = opened
                for channel in channels {
                    // Channel names are ours, plain identifiers.
                    let listen = Statement(name: "listen", sql: "LISTEN \(channel)", isPrepared: false)
                    try await opened.query(listen, deadline: .after(.seconds(10)))
                }
                backoff.reset()
                await receive(.listening)
                while true {
                    for notification in try await opened.notifications() { await receive(.notified(notification)) }
                }
            } catch {
                await connection?.close()
                guard !Task.isCancelled else { return }
                let wait = backoff.next()
                await receive(.lost(error, retryIn: wait))
                try? await Task.sleep(for: wait)
            }
        }
    }
}
