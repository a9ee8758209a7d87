/// Lets a bounded number of operations go on at the same time, bounded also for each place (a domain) and each app, so
/// that one that gives no answer can't use up everything; `SlotBook` says who may begin. The others wait: until the
/// caller's deadline, or its cancellation.
package final class ConcurrencyLimit: Sendable {
    package struct Rules: Sendable {
        package let total: Int
        /// Of one app at one place.
        package let perApp: Int
        /// Who asks while so many wait is refused.
        package let maxWaiting: Int
        /// A failure that took this long is no answer.
        package var silence: Duration = .seconds(5)

        package init(total: Int, perApp: Int, maxWaiting: Int) {
            self.total = total
            self.perApp = perApp
            self.maxWaiting = maxWaiting
        }
    }

    /// Whom an operation counts for.
    package struct Caller: Hashable, Sendable {
        package let place: String
        package let app: String

        package init(place: String, app: String) {
            self.place = place
            self.app = app
        }
    }

    /// So many wait already that one more would be of no use.
    package struct TooManyWaiting: Error, CustomStringConvertible {
        package let description = "too much waits for its turn"
    }

    private enum Turn: Sendable { case begins, deadlineExceeded, cancelled }

    private struct State {
        var book: SlotBook
        var nextTicket: SlotBook.Ticket = 0
        var waiters: [SlotBook.Ticket: CheckedContinuation<Turn, Never>] = [:]
        /// Of those whose turn came before they stood in `waiters`.
        var early: [SlotBook.Ticket: Turn] = [:]
    }

    private let state: Mutex<State>

    package init(_ rules: Rules) {
        state = Mutex(State(book: SlotBook(rules)))
    }

    /// How many wait.
    package var waitingCount: Int { state.withLock { $0.book.waitingCount } }

    /// - Parameter deadline: of the wait for a slot; nil: `body` of those before has deadlines, so the wait ends.
    /// - Parameter operation: for the error.
    /// - Throws: what `body` throws; `DeadlineExceeded`, `CancellationError`, `TooManyWaiting` while it waits.
    package func run<T: Sendable>(
        for caller: Caller, until deadline: Deadline? = nil,
        operation: @autoclosure () -> String = "waiting for a turn",
        _ body: @Sendable () async throws -> T
    ) async throws -> T {
        try await enter(caller, deadline, operation)
        let began = ContinuousClock.now
        do {
            try Task.checkCancellation()
            let result = try await body()
            end(caller, began, succeeded: true)
            return result
        } catch {
            end(caller, began, succeeded: false)
            throw error
        }
    }

    private func enter(_ caller: Caller, _ deadline: Deadline?, _ operation: () -> String) async throws {
        try Task.checkCancellation()
        let (ticket, answer) = state.withLock { state in
            state.nextTicket += 1
            return (state.nextTicket, state.book.ask(state.nextTicket, caller))
        }
        switch answer {
        case .begin: return
        case .full: throw TooManyWaiting()
        case .wait: break
        }
        let timer = deadline.map { deadline in
            Task {
                await Alarm.wait(until: deadline)
                if !Task.isCancelled { self.giveUp(ticket, .deadlineExceeded) }
            }
        }
        defer { timer?.cancel() }
        switch await turn(of: ticket) {
        case .begins: return
        case .deadlineExceeded: throw DeadlineExceeded(operation: operation())
        case .cancelled: throw CancellationError()
        }
    }

    private func turn(of ticket: SlotBook.Ticket) async -> Turn {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state in
                    let early = state.early.removeValue(forKey: ticket)
                    if early == nil { state.waiters[ticket] = continuation }
                    return early
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            giveUp(ticket, .cancelled)
        }
    }

    private func giveUp(_ ticket: SlotBook.Ticket, _ turn: Turn) {
        // Else it has begun, or given up.
        let waiter = state.withLock { state in
            state.book.leave(ticket) ? Self.settle(ticket, turn, &state) : nil
        }
        waiter?.resume(returning: turn)
    }

    private func end(_ caller: Caller, _ began: ContinuousClock.Instant, succeeded: Bool) {
        let waiters = state.withLock { state in
            let next = state.book.end(caller, began: began, .now, succeeded: succeeded)
            return next.compactMap { Self.settle($0, .begins, &state) }
        }
        for waiter in waiters { waiter.resume(returning: .begins) }
    }

    private static func settle(
        _ ticket: SlotBook.Ticket, _ turn: Turn, _ state: inout State
    ) -> CheckedContinuation<Turn, Never>? {
        let waiter = state.waiters.removeValue(forKey: ticket)
        if waiter == nil { state.early[ticket] = turn }
        return waiter
    }
}
