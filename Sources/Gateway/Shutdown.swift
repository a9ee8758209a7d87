import AsyncRuntime

/// The ordered stop: named steps, one after another, within one time in all. A step that does not end in its time is
/// cancelled and left, and said so; what is left of the time goes to the next ones.
struct Shutdown: Sendable {
    struct Step: Sendable {
        let name: String
        /// nil: all that is left of the time.
        var limit: Duration?
        /// Done in any case, also where the time is over or the task is cancelled, within its limit.
        var isAlwaysDone = false
        let perform: @Sendable () async -> Void
    }

    let steps: [Step]
    let logger: Logger

    /// - Returns: whether every step has ended in time.
    func run(within timeout: Duration) async -> Bool {
        let whole = Deadline.after(timeout)
        var unfinished: String?
        for step in steps {
            let own = step.limit.map { Deadline.after($0) } ?? whole
            let began = ContinuousClock.now
            if step.isAlwaysDone {
                // A task of its own, which nobody cancels.
                guard await Task(operation: { await Self.ends(step, by: own) }).value else {
                    unfinished = unfinished ?? step.name
                    continue
                }
            } else {
                guard !whole.hasPassed, await Self.ends(step, by: min(own, whole)) else {
                    unfinished = unfinished ?? step.name
                    continue
                }
            }
            logger.log(.shutdownStepEnded(step.name, took: began.duration(to: .now)))
        }
        if let unfinished { logger.log(.shutdownIncomplete(unfinished)) }
        return unfinished == nil
    }

    private static func ends(_ step: Step, by deadline: Deadline) async -> Bool {
        let isDone = AsyncEvent()
        let task = Task {
            await step.perform()
            isDone.set()
        }
        await isDone.wait(atMost: deadline.remaining)
        guard isDone.isSet else {
            // Not waited for: what does not end in time would take more of it. The process ends soon.
            task.cancel()
            return false
        }
        await task.value
        return true
    }
}

extension Shutdown {
    /// No more receiving, every window flushed, the outbox's sends under way finished, leases released. What is beside
    /// a message's way ends before the pool that it uses.
    /// - Parameter lastLimit: for each of the two steps that are always done. A statement that is cancelled has 2 s to
    /// end.
    init(
        of parts: Assembly, _ running: Running, _ ground: Assembly.Ground, lastLimit: Duration = .seconds(4)
    ) {
        logger = ground.logger
        steps = [
            Step(name: "receiving") {
                await parts.hub.stopReceiving()
                await parts.dispatcher.drain()
            },
            Step(name: "flushing the windows") { await parts.batcher.flushAll() },
            Step(name: "sending what is under way") {
                running.sender.cancel()
                await running.sender.value
            },
            Step(name: "closing the connections") {
                running.hub.cancel()
                await parts.hub.close()
                await running.hub.value
            },
            Step(name: "releasing the leases") { await Self.releaseLeases(ground) },
            Step(name: "ending every task", limit: lastLimit, isAlwaysDone: true) {
                // Those of the message's way too, in case their step did not end in time.
                let tasks = running.beside + [running.sender, running.hub]
                for task in tasks { task.cancel() }
                for task in tasks { await task.value }
                await parts.typing.end()
                await parts.context.end()
            },
            Step(name: "closing the pool", limit: lastLimit, isAlwaysDone: true) { await ground.pool.close() },
        ]
    }

    /// A statement that fails must not leave the bots without an owner until the leases have run out.
    private static func releaseLeases(_ ground: Assembly.Ground) async {
        let deadline = Deadline.after(.seconds(6))
        while !deadline.hasPassed {
            do {
                try await ground.repository.releaseLeases(holder: ground.identity.name)
                return ground.outages.succeeded("release_leases")
            } catch {
                guard !Task.isCancelled else { return }
                ground.outages.failed("release_leases", error)
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}
