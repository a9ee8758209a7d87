import AsyncRuntime
import Store

/// Turns bursts of messages into one flush per session: a silence window each, one alarm for the earliest.
///
/// Flushes of different sessions run side by side, a few at a time and a bounded number of sessions each; the next one
/// of the same session waits for the last. A flush that fails is tried again with backoff. After `flushAll` the batcher
/// is terminal: what is scheduled then is flushed at once, before `messageStored` returns.
package final class RunBatcher: Sendable {
    /// Closes the windows of these sessions; `force` where their time is not up. Throws when none of it was done.
    package typealias Flush = @Sendable ([SessionKey], _ force: Bool) async throws -> [SessionKey: FlushOutcome]

    private struct State {
        var windows: SilenceWindows
        var isTerminal = false
        var flushesUnderWay = 0
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(1))
        /// What the alarm is set to.
        var alarm: Duration?
        /// Who waits until no flush is under way.
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// One statement's worth: however many windows are due at once, each statement ends well within its patience.
    package static let maxSessionsPerFlush = 1_000
    /// Side by side; each takes a connection that ingest wants too.
    package static let maxFlushes = 4

    private static let busyRetry: Duration = .milliseconds(250)

    private let state: Mutex<State>
    private let wakeUp: any WakeUp
    private let flush: Flush
    private let flushFailed: @Sendable (Int, any Error, _ retryIn: Duration?) -> Void

    package init(
        _ batching: Batching, wakeUp: any WakeUp = DispatchWakeUp(label: "gateway.windows"),
        flushFailed: @escaping @Sendable (Int, any Error, _ retryIn: Duration?) -> Void = { _, _, _ in },
        flush: @escaping Flush
    ) {
        state = Mutex(State(windows: SilenceWindows(batching)))
        self.wakeUp = wakeUp
        self.flush = flush
        self.flushFailed = flushFailed
    }

    package var openWindows: Int { state.withLock { $0.windows.count } }
    package var flushesUnderWay: Int { state.withLock { $0.flushesUnderWay } }

    /// Takes other times, for windows that are opened or extended from now on.
    package func update(_ batching: Batching) {
        state.withLock { $0.windows.update(batching) }
    }

    /// Opens the session's window, or extends it. After `flushAll` it flushes the session and returns when that is
    /// done.
    /// - Returns: whether it opened a window.
    @discardableResult
    package func messageStored(in key: SessionKey) async -> Bool {
        var opened = false
        let isTerminal = state.withLock { state in
            if state.isTerminal {
                state.flushesUnderWay += 1
                return true
            }
            opened = state.windows.messageStored(in: key, now: wakeUp.now)
            arm(&state)
            return false
        }
        if isTerminal { await run([key], force: true) }
        return opened
    }

    /// Arms a window that was read back from the database.
    package func restore(_ key: SessionKey, openFor: Duration, dueIn: Duration) {
        state.withLock { state in
            guard !state.isTerminal else { return }
            state.windows.restore(key, first: wakeUp.now - openFor, due: wakeUp.now + dueIn)
            arm(&state)
        }
    }

    /// Drops the windows of an installation that another replica owns now.
    package func forget(_ installation: InstallationID) {
        state.withLock { state in
            state.windows.forget(installation)
            arm(&state)
        }
    }

    /// Flushes every open window now, and returns when no flush is under way any more. Called twice, both return then.
    package func flushAll() async {
        let due = state.withLock { state in
            state.isTerminal = true
            state.alarm = nil
            wakeUp.set(at: nil) {}
            let due = Self.inBatches(state.windows.closeAll())
            state.flushesUnderWay += due.count
            return due
        }
        await withTaskGroup(of: Void.self) { group in
            for (index, batch) in due.enumerated() {
                if index >= Self.maxFlushes { await group.next() }
                group.addTask { await self.run(batch, force: true) }
            }
        }
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                guard state.flushesUnderWay > 0 else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }

    /// Called under the lock, so that of two alarms the one of the newer state is set last.
    private func arm(_ state: inout State) {
        // While as many flushes are under way as may be, the end of one is what goes on.
        let next = state.flushesUnderWay < Self.maxFlushes ? state.windows.nextDeadline : nil
        // Most messages extend a window and move no alarm.
        guard next != state.alarm else { return }
        state.alarm = next
        wakeUp.set(at: next) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        let due = state.withLock { state -> [[SessionKey]] in
            guard !state.isTerminal else { return [] }
            state.alarm = nil
            var due: [[SessionKey]] = []
            while state.flushesUnderWay < Self.maxFlushes {
                let batch = state.windows.closeDue(now: wakeUp.now, limit: Self.maxSessionsPerFlush)
                guard !batch.isEmpty else { break }
                state.flushesUnderWay += 1
                due.append(batch)
            }
            arm(&state)
            return due
        }
        for batch in due { Task { await run(batch, force: false) } }
    }

    private static func inBatches(_ keys: [SessionKey]) -> [[SessionKey]] {
        stride(from: 0, to: keys.count, by: maxSessionsPerFlush).map {
            Array(keys[$0..<min(keys.count, $0 + maxSessionsPerFlush)])
        }
    }

    private func run(_ keys: [SessionKey], force: Bool) async {
        do {
            let outcomes = try await flush(keys, force)
            let leftOver = finish(keys) { state in
                state.backoff.reset()
                for (key, outcome) in outcomes {
                    switch outcome {
                    // Extended by somebody whose message we did not hear of.
                    case .notDue(let wait): state.windows.restore(key, first: wakeUp.now, due: wakeUp.now + wait)
                    case .busy: state.windows.restore(key, first: wakeUp.now, due: wakeUp.now + Self.busyRetry)
                    case .queued, .agentOffline, .agentArchived, .empty, .fenced, .gone: break
                    }
                }
            }
            if !leftOver.isEmpty { await run(leftOver, force: true) }
        } catch {
            var retryIn: Duration?
            let leftOver = finish(keys) { state in
                // The windows stay in the database: after a stop, the next start closes them.
                guard !state.isTerminal else { return }
                let wait = max(state.backoff.next(), .milliseconds(100))
                retryIn = wait
                for key in keys { state.windows.restore(key, first: wakeUp.now, due: wakeUp.now + wait) }
            }
            flushFailed(keys.count, error, retryIn)
            if !leftOver.isEmpty { await run(leftOver, force: true) }
        }
    }

    /// - Returns: windows that were opened behind a flush and must be closed now, because the batcher is terminal.
    private func finish(_ keys: [SessionKey], _ update: (inout State) -> Void) -> [SessionKey] {
        let (leftOver, waiters) = state.withLock { state -> ([SessionKey], [CheckedContinuation<Void, Never>]) in
            for key in keys { state.windows.flushEnded(key) }
            update(&state)
            if state.isTerminal {
                let leftOver = state.windows.closeAll()
                if !leftOver.isEmpty { return (leftOver, []) }
            }
            state.flushesUnderWay -= 1
            if !state.isTerminal { arm(&state) }
            guard state.flushesUnderWay == 0 else { return ([], []) }
            defer { state.waiters = [] }
            return ([], state.waiters)
        }
        for waiter in waiters { waiter.resume() }
        return leftOver
    }
}
