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
    private let anew: Doorbell

    /// - Parameter anew: when it is rung, the connection is replaced: the server that it leads to may be none any more.
    package init(url: String, channels: [String], anew: Doorbell = Doorbell()) {
        self.url = url
        self.channels = channels
        self.anew = anew
    }

    /// Until the task is cancelled.
    package func run(_ receive: @escaping @Sendable (Event) async -> Void) async {
        // Short: meanwhile what is new is found by looking.
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(1))
        while !Task.isCancelled {
            var connection: Connection?
            do {
                let opened = try await Connection.connect(
                    to: url, applicationName: "lark-gateway listen", mustWrite: true, deadline: .after(.seconds(10)))
                connection = opened
                for channel in channels {
                    // Channel names are ours, plain identifiers.
                    let listen = Statement(name: "listen", sql: "LISTEN \(channel)", isPrepared: false)
                    try await opened.query(listen, deadline: .after(.seconds(10)))
                }
                backoff.reset()
                await receive(.listening)
                try await handOn(from: opened, to: receive)
                await opened.close()
            } catch {
                await connection?.close()
                guard !Task.isCancelled else { return }
                let wait = max(backoff.next(), .milliseconds(100))
                await receive(.lost(error, retryIn: wait))
                try? await Task.sleep(for: wait)
            }
        }
    }

    /// Until it is to be replaced.
    private func handOn(
        from connection: Connection, to receive: @escaping @Sendable (Event) async -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while true {
                    for notification in try await connection.notifications() { await receive(.notified(notification)) }
                }
            }
            group.addTask { await anew.wait() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
