import AsyncRuntime
import Lark

/// Shows under the message that opened a window that the agent is at work, until its answer is there. What goes wrong here
/// is logged, and changes nothing else.
final class TypingIndicator: Sendable {
    private let repository: Repository
    private let apps: @Sendable (InstallationID) -> OpenAPIClient?
    private let holder: String
    private let outages: OutageLog
    private let logger: Logger
    /// Rung when a sign may be wanted, or be over.
    private let mayHaveWork = Doorbell()
    private let state = Mutex(State())

    private struct State {
        /// There may be signs.
        var isBusy = true
        /// Apps that may not react: not asked again until then.
        var refused: [InstallationID: ContinuousClock.Instant] = [:]
        /// How many calls about a session's signs are under way.
        var underWay: [SessionKey: Int] = [:]
    }

    private static let emoji = "Typing"
    private static let atOnce = 16
    private static let pollEvery: Duration = .seconds(1)
    /// While there is no sign; one of another replica may have become ours.
    private static let restEvery: Duration = .seconds(30)
    private static let mostAttempts = 6
    /// How long an answer waits for its sign to be gone.
    private static let patience: Duration = .milliseconds(500)
    private static let refusalLasts: Duration = .seconds(600)

    init(
        repository: Repository, apps: @escaping @Sendable (InstallationID) -> OpenAPIClient?, holder: String,
        outages: OutageLog, logger: Logger
    ) {
        self.repository = repository
        self.apps = apps
        self.holder = holder
        self.outages = outages
        self.logger = logger
    }

    func lookNow() {
        state.withLock { $0.isBusy = true }
        mayHaveWork.ring()
    }

    /// Until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await look()
                outages.succeeded("take_typing")
            } catch {
                guard !Task.isCancelled else { return }
                outages.failed("take_typing", error)
            }
            let isBusy = state.withLock { $0.isBusy }
            await mayHaveWork.wait(atMost: isBusy ? Self.pollEvery : Self.restEvery)
        }
    }

    private func look() async throws {
        // Before we look: what comes meanwhile counts.
        state.withLock { $0.isBusy = false }
        while true {
            let signs = try await repository.takeTyping(holder: holder, limit: Self.atOnce)
            await withDiscardingTaskGroup { group in
                for sign in signs { group.addTask { await self.carryOut(sign) } }
            }
            if signs.count < Self.atOnce { break }
        }
        if try await repository.countTyping(holder: holder) > 0 { state.withLock { $0.isBusy = true } }
    }

    /// Takes a session's sign away before its answer is sent, if that goes quickly.
    func clear(_ session: SessionKey) async {
        guard state.withLock({ $0.isBusy }) else { return }
        let deadline = Deadline.after(Self.patience)
        while state.withLock({ $0.underWay[session] != nil }), !deadline.hasPassed {
            try? await Task.sleep(for: .milliseconds(10))
        }
        let work = Task {
            guard let signs = try? await repository.takeTyping(holder: holder, limit: Self.atOnce, of: session) else {
                return
            }
            for sign in signs { await carryOut(sign) }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await work.value }
            group.addTask { try? await Task.sleep(for: deadline.remaining) }
            await group.next()
            // The work itself goes on.
            group.cancelAll()
        }
    }

    private func carryOut(_ sign: TypingSign) async {
        state.withLock { $0.underWay[sign.session, default: 0] += 1 }
        defer {
            state.withLock { state in
                let left = (state.underWay[sign.session] ?? 1) - 1
                state.underWay[sign.session] = left > 0 ? left : nil
            }
        }
        guard let app = apps(sign.session.installation), !isRefused(sign.session.installation) else {
            // Not there, and not to be: nothing to remember.
            if sign.reactionID == nil { await forget(sign) }
            return
        }
        do {
            var reaction = sign.reactionID
            if reaction == nil {
                let id = try await app.addReaction(Self.emoji, to: sign.messageID)
                reaction = id
                if !sign.isOver { return try await repository.keep(sign, reactionID: id) }
            }
            if let reaction { try await app.removeReaction(reaction, from: sign.messageID) }
            await forget(sign)
        } catch let error as OpenAPIError {
            logger.log(.typingFailed(sign, error))
            switch error.remedy {
            case .retry, .renewToken:
                // It may be there: it is taken away later. What is not gone after so many attempts is left.
                if sign.isOver, sign.attempts >= Self.mostAttempts { await forget(sign) }
            case .giveUp, .sendAsText, .sendToChat:
                if error.isMissingPermission {
                    state.withLock { $0.refused[sign.session.installation] = .now + Self.refusalLasts }
                }
                await forget(sign)
            }
        } catch {
            guard !Task.isCancelled else { return }
            outages.failed("keep_typing", error)
        }
    }

    private func isRefused(_ installation: InstallationID) -> Bool {
        state.withLock { state in
            guard let until = state.refused[installation] else { return false }
            if until <= .now { state.refused[installation] = nil }
            return until > .now
        }
    }

    private func forget(_ sign: TypingSign) async {
        do {
            try await repository.end(sign)
            outages.succeeded("keep_typing")
        } catch {
            outages.failed("keep_typing", error)
        }
    }
}
