import AsyncRuntime
import Store

/// Says in the log what administrators do by command while this gateway runs, from the rows that commands leave. A
/// notification alone says nothing: whoever may connect to the database may send one, and an agent's worker may, too.
struct CommandLog: Sendable {
    let repository: Repository
    /// Rung when commands were done, perhaps.
    let hasCommands: Doorbell
    let outages: OutageLog
    let logger: Logger

    private static let atOnce = 100
    /// What comes one after another is looked at together.
    private static let settling: Duration = .milliseconds(100)
    /// A notification may get lost with its connection.
    private static let restEvery: Duration = .seconds(600)

    /// Until the task is cancelled.
    func run() async {
        var last: Int64?
        while !Task.isCancelled {
            var wait = Self.restEvery
            do {
                if let known = last {
                    let rows = try await repository.commands(after: known, limit: Self.atOnce)
                    for row in rows { logger.log(.commandDone(row)) }
                    last = rows.last?.id ?? known
                    if rows.count == Self.atOnce { wait = .zero }
                } else {
                    last = try await repository.lastCommandID()
                }
                outages.succeeded("list_commands")
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("list_commands", error)
                wait = .seconds(1)
            }
            await hasCommands.wait(atMost: wait)
            try? await Task.sleep(for: Self.settling)
        }
    }
}
