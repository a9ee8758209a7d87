/// The tasks of a running gateway. The stop ends them, and waits for each.
struct Running: Sendable {
    let hub: Task<Void, Never>
    let sender: Task<Void, Never>
    /// What a message's way does not need.
    let beside: [Task<Void, Never>]
}

extension Running {
    init(_ parts: Assembly) {
        hub = Task { await parts.hub.run() }
        sender = Task { await parts.sender.run() }
        beside = [
            Task { await parts.housekeeping.run() },
            Task { await parts.typing.run() },
            Task { await parts.progress.run() },
            Task { await parts.notifications.run() },
            Task { await parts.commands.run() },
            Task { for await lease in parts.fenced { await parts.hub.lose(lease, reason: "the database refused it") } },
        ]
    }
}
