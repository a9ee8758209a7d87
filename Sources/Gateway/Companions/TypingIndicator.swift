import AsyncRuntime
import Foundation
import Lark
import Store

/// Shows under the message that opened a window that the agent is at work, until its answer is there. What goes wrong
/// here is logged, and changes nothing else.
final class TypingIndicator: Sendable {
    private let repository: Repository
    private let apps: AppDirectory
    /// Whether the platform does not answer an app: it gets no signs then, and nobody waits for its time-out.
    private let isSilent: @Sendable (InstallationID) -> Bool
    private let holder: String
    private let outages: OutageLog
    private let logger: Logger
    private let mayHaveWork = Doorbell()
    private let refused = RefusedApps()
    private let state = Mutex(State())
    private let tasks = TaskSet()

    private struct State {
        /// There may be signs.
        var isBusy = true
        /// Grows when there may be more.
        var rings = 0
        /// How many calls about a session's signs are under way.
        var underWay: [SessionKey: Int] = [:]
        var shares = FairShares<InstallationID>(total: 2 * TypingIndicator.atOnce)
    }

    private static let emoji = "Typing"
    /// Windows that open while so many calls of one app are under way, or as many as are free, get no sign.
    private static let atOnce = 32
    private static let pollEvery: Duration = .seconds(1)
    /// While there is no sign.
    private static let restEvery: Duration = .seconds(30)
    private static let mostAttempts = 6
    /// How long an answer waits for its sign to be gone.
    private static let patience: Duration = .milliseconds(500)
    /// A message that comes this late, after an outage, gets none.
    private static let oldest: Duration = .seconds(120)

    init(
        repository: Repository, apps: AppDirectory, isSilent: @escaping @Sendable (InstallationID) -> Bool,
        holder: String, outages: OutageLog, logger: Logger
    ) {
        self.repository = repository
        self.apps = apps
        self.isSilent = isSilent
        self.holder = holder
        self.outages = outages
        self.logger = logger
    }

    // MARK: Putting signs

    /// Returns at once.
    func windowOpened(by row: IngestRow, in session: SessionKey, at position: Int64) {
        guard Self.isFresh(row.message, now: Date()), let app = apps.client(of: session.installation),
            !refused.contains(session.installation), !isSilent(session.installation), begin(session, unlessBusy: true)
        else { return }
        tasks.begin { [self] in
            await put(row, app, session, position)
            finish(session)
        }
    }

    static func isFresh(_ message: InboundMessage, now: Date) -> Bool {
        guard let sent = message.sentAtMilliseconds else { return true }
        return now.timeIntervalSince1970 - Double(sent) / 1000 < oldest.seconds
    }

    private func put(_ row: IngestRow, _ app: OpenAPIClient, _ session: SessionKey, _ position: Int64) async {
        do {
            // Before the call: what becomes of us meanwhile must not leave a sign that nobody knows of.
            guard
                let sign = try await repository.beginTyping(
                    under: row.message.messageID, of: session, at: position, under: row.lease)
            else { return }
            lookNow()
            do {
                try await repository.keep(sign, reactionID: app.addReaction(Self.emoji, to: sign.messageID))
            } catch let error as OpenAPIError {
                await failed(sign, error)
            }
            outages.succeeded("keep_typing")
        } catch {
            guard !Task.isCancelled else { return }
            outages.failed("keep_typing", error)
        }
    }

    // MARK: Taking them away

    /// Signs may be there, or be over.
    func lookNow() {
        state.withLock { state in
            state.isBusy = true
            state.rings += 1
        }
        mayHaveWork.ring()
    }

    /// Takes away what is over, until the task is cancelled.
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
            // A ring for each window that opens is one look.
            if isBusy { try? await Task.sleep(for: Self.patience) }
        }
    }

    private func look() async throws {
        let rings = state.withLock { $0.rings }
        while true {
            let signs = try await repository.takeTyping(holder: holder, limit: Self.atOnce)
            await withDiscardingTaskGroup { group in
                for sign in signs { group.addTask { await self.take(sign) } }
            }
            if signs.count < Self.atOnce { break }
        }
        let count = try await repository.countTyping(holder: holder)
        // What came meanwhile counts.
        state.withLock { $0.isBusy = count > 0 || $0.rings != rings }
    }

    /// Takes a session's sign away before its answer is sent, if that goes quickly.
    func clear(_ session: SessionKey) async {
        guard state.withLock({ $0.isBusy }) else { return }
        let deadline = Deadline.after(Self.patience)
        while state.withLock({ $0.underWay[session] != nil }), !deadline.hasPassed {
            try? await Task.sleep(for: .milliseconds(10))
        }
        let isDone = AsyncEvent()
        // Goes on when the answer does not wait any more.
        tasks.begin { [self] in
            let signs = try? await repository.takeTyping(holder: holder, limit: Self.atOnce, of: session)
            for sign in signs ?? [] { await take(sign) }
            isDone.set()
        }
        await isDone.wait(atMost: deadline.remaining)
    }

    /// Ends the calls that are under way, and begins no more. What may be there of a sign stands in its row.
    func end() async {
        await tasks.end()
    }

    private func take(_ sign: TypingSign) async {
        guard let app = apps.client(of: sign.session.installation), !refused.contains(sign.session.installation),
            !isSilent(sign.session.installation)
        else { return }
        _ = begin(sign.session, unlessBusy: false)
        defer { finish(sign.session) }
        do {
            // One that may be there is put there once more, which tells its id.
            var reaction = sign.reactionID
            if reaction == nil { reaction = try await app.addReaction(Self.emoji, to: sign.messageID) }
            if let reaction { try await app.removeReaction(reaction, from: sign.messageID) }
            await forget(sign)
        } catch let error as OpenAPIError {
            await failed(sign, error)
        } catch {
            // Cancelled: the row stays.
            return
        }
    }

    // MARK: What goes wrong

    private func failed(_ sign: TypingSign, _ error: OpenAPIError) async {
        logger.log(.typingFailed(sign, error))
        switch error.remedy {
        case .retry, .retrySomeTimes, .renewToken:
            // It may be there: it is taken away later. What is not gone after so many attempts is left.
            if sign.attempts >= Self.mostAttempts { await forget(sign) }
        case .giveUp, .sendAsText, .sendToChat:
            if error.isMissingPermission { refused.insert(sign.session.installation) }
            await forget(sign)
        }
    }

    private func forget(_ sign: TypingSign) async {
        do {
            try await repository.end(sign)
        } catch {
            guard !Task.isCancelled else { return }
            outages.failed("keep_typing", error)
        }
    }

    private func begin(_ session: SessionKey, unlessBusy: Bool) -> Bool {
        state.withLock { state in
            guard !unlessBusy || state.shares.mayTake(session.installation) else { return false }
            state.shares.take(session.installation)
            state.underWay[session, default: 0] += 1
            return true
        }
    }

    private func finish(_ session: SessionKey) {
        state.withLock { state in
            state.shares.giveBack(session.installation)
            let left = (state.underWay[session] ?? 1) - 1
            state.underWay[session] = left > 0 ? left : nil
        }
    }
}
