import AsyncRuntime
import Gateway
import Postgres

/// The private Postgres of the daemon, from its start to its stop. When it ends in between (killed for want of memory,
/// stopped by hand), it is started again.
///
/// The server is in the hands of one step at a time: the start, then the task that keeps it running, then the stop,
/// which begins when that task has ended.
struct PrivatePostgresSupervisor: Sendable {
    private static let startPatience = Duration.seconds(120)
    private static let stopPatience = Duration.seconds(30)
    private static let boundLogEvery = Duration.seconds(10)
    private static let lookEvery = Duration.seconds(2)

    enum State: Equatable { case running, startingAgain(attempt: Int), givenUp }

    let server: PrivatePostgres
    let logger: Logger
    let changed: @Sendable (State) -> Void

    /// Starts or adopts the server, keeps it running while `body` runs, and stops it.
    /// - Parameter stop: from when it is set on, the server is not started again. It is set here when the server can't
    ///   be started again, so that `body` ends in order.
    /// - Returns: what `body` returned, or false when the server could not be started again; true, without `body`, when
    ///   a stop was asked for during the start.
    /// - Throws: what the start, `body` or the stop threw; the server is stopped then, too.
    func whileRunning(until stop: AsyncEvent, _ body: () async throws -> Bool) async throws -> Bool {
        let result: Result<Bool, any Error>
        do {
            result = .success(try await start(until: stop) ? try await keepRunning(until: stop, while: body) : true)
        } catch {
            result = .failure(error)
        }
        do {
            try await server.stop(deadline: .after(Self.stopPatience))
        } catch {
            // Why `body` failed comes first.
            _ = try result.get()
            throw error
        }
        return try result.get()
    }

    /// - Returns: false when a stop was asked for meanwhile.
    private func start(until stop: AsyncEvent) async throws -> Bool {
        let starting = Task { try await server.start(deadline: .after(Self.startPatience)) }
        let watching = Task {
            await stop.wait()
            if stop.isSet { starting.cancel() }
        }
        defer { watching.cancel() }
        do {
            let adopted = try await starting.value
            logger.log(.postgresStarted(directory: server.directory, adopted: adopted))
            return true
        } catch {
            guard stop.isSet else { throw error }
            return false
        }
    }

    private func keepRunning(until stop: AsyncEvent, while body: () async throws -> Bool) async throws -> Bool {
        let keeping = Task {
            let outcome = await keepRunning()
            if outcome == .gaveUp { stop.set() }
            return outcome
        }
        let watching = Task {
            await stop.wait()
            keeping.cancel()
        }
        let bounding = Task {
            while !Task.isCancelled {
                server.boundLog()
                await Alarm.wait(until: .after(Self.boundLogEvery))
            }
        }
        defer { bounding.cancel() }
        let result: Result<Bool, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        watching.cancel()
        keeping.cancel()
        let outcome = await keeping.value
        return try result.get() && outcome == .cancelled
    }

    private enum Outcome { case cancelled, gaveUp }

    /// Returns when the task is cancelled, or the server can't be started again.
    private func keepRunning() async -> Outcome {
        var budget = RestartBudget()
        while true {
            let began = ContinuousClock.now
            let pid = server.processID
            if let pid, await !end(of: pid) { return .cancelled }
            guard !Task.isCancelled else { return .cancelled }
            let duration = began.duration(to: .now)
            // It takes its file away when it stops in order.
            let wasKilled = pid != nil && server.processID == pid
            logger.log(
                .postgresEnded(directory: server.directory, processID: pid, wasKilled: wasKilled, after: duration))
            budget.serverEnded(afterRunning: duration)
            if let outcome = await startAgain(&budget) { return outcome }
        }
    }

    /// A stop that somebody else began can wait without end for the connections that we keep (`pg_ctl stop -m smart`),
    /// while no new one is taken: it is brought to its end, so that the server can be started again.
    /// - Returns: as `ProcessEnd.wait`.
    private func end(of pid: Int32) async -> Bool {
        await withTaskGroup(of: Bool?.self) { group in
            group.addTask { await ProcessEnd.wait(for: pid) }
            group.addTask {
                while !Task.isCancelled {
                    let wasStopping = server.isStopping
                    await Alarm.wait(until: .after(Self.lookEvery))
                    guard wasStopping, server.isStopping, !Task.isCancelled else { continue }
                    // The next look tries again.
                    try? await server.stop(deadline: .after(Self.stopPatience))
                }
                return nil
            }
            defer { group.cancelAll() }
            for await hasEnded in group {
                if let hasEnded { return hasEnded }
            }
            return false
        }
    }

    /// - Returns: nil when it runs again.
    private func startAgain(_ budget: inout RestartBudget) async -> Outcome? {
        let deadline = Deadline.after(Self.startPatience)
        var failure: (any Error)?
        while !deadline.hasPassed, let wait = budget.next() {
            if let failure { logger.log(.postgresStartFailed(failure, retryIn: wait)) }
            changed(.startingAgain(attempt: budget.used))
            try? await Task.sleep(for: wait)
            do {
                try Task.checkCancellation()
                let adopted = try await server.start(makesCluster: false, deadline: deadline)
                logger.log(.postgresStarted(directory: server.directory, adopted: adopted))
                changed(.running)
                return nil
            } catch {
                guard !Task.isCancelled else { return .cancelled }
                failure = error
            }
        }
        logger.log(.postgresGivenUp(directory: server.directory, failure))
        changed(.givenUp)
        return .gaveUp
    }
}
