import AsyncRuntime
import Foundation
import Gateway
import Postgres
import Store

/// Claims tasks of a runtime and runs a command for each.
package struct Worker: Sendable {
    let url: String
    let runtime: String
    let command: WorkerCommandLine
    let concurrency: Int
    /// For one run of the command.
    let timeout: Duration
    /// How often a command that fails is run, before the task fails and the chat is told.
    let attempts: Int
    /// Of a claim; renewed while the command runs.
    let lease: Duration
    let logger: Logger

    private static let pollEvery: Duration = .seconds(1)
    private static let maxReplyBytes = 8 << 20
    private static let reportEvery: Duration = .seconds(1)

    package init(
        url: String, runtime: String, command: WorkerCommandLine, concurrency: Int, timeout: Duration, attempts: Int,
        lease: Duration, logger: Logger
    ) {
        self.url = url
        self.runtime = runtime
        self.command = command
        self.concurrency = concurrency
        self.timeout = timeout
        self.attempts = attempts
        self.lease = lease
        self.logger = logger
    }

    /// Until `stop` is set; commands that run then are let end.
    package func run(until stop: AsyncEvent) async {
        let listenAnew = Doorbell()
        let pool = Pool(
            url: url, size: concurrency + 1, applicationName: "lark-gateway worker", mustWrite: true,
            limits: Repository.sessionLimits,
            generationEnded: { listenAnew.ring() })
        let repository = Repository(pool: pool)
        let outages = OutageLog(logger: logger)
        let bells = (0..<concurrency).map { _ in Doorbell() }
        // Every role of the database may notify, as often as it likes: a flood makes the worker look once in an
        // interval.
        let rings = PacedRings<String>()
        let ringing = Task { await rings.run { _ in for bell in bells { bell.ring() } } }
        let listening = Task {
            await Listener(url: url, channels: ["gateway_task"], anew: listenAnew).run { event in
                switch event {
                case .listening: outages.succeeded("listen")
                case .lost(let error, _): outages.failed("listen", error)
                case .notified: break
                }
                if Self.wakes(event, runtime: runtime) { rings.ring(runtime) }
            }
        }
        let stopping = Task {
            await stop.wait()
            for bell in bells { bell.ring() }
        }
        logger.log(.workerStarted(runtime: runtime, concurrency: concurrency))
        let token = WorkerIdentity.randomToken()
        await withTaskGroup(of: Void.self) { group in
            for (index, bell) in bells.enumerated() {
                let name = "\(ProcessInfo.processInfo.hostName).\(getpid()).\(index)"
                let identity = WorkerIdentity(name: name, token: token)
                group.addTask { await work(as: identity, repository, bell, stop, outages) }
            }
        }
        stopping.cancel()
        listening.cancel()
        ringing.cancel()
        await stopping.value
        await listening.value
        await ringing.value
        await pool.close()
        logger.log(.workerStopped(runtime: runtime))
    }

    /// A notification names the runtime that has a task.
    static func wakes(_ event: Listener.Event, runtime: String) -> Bool {
        guard case .notified(let notification) = event else { return true }
        return notification.payload == runtime
    }

    private func work(
        as worker: WorkerIdentity, _ repository: Repository, _ bell: Doorbell, _ stop: AsyncEvent, _ outages: OutageLog
    ) async {
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(1))
        // Whether we may have a claim that we do not know of: Postgres made it, and its answer got lost.
        var isUnsure = false
        while !stop.isSet {
            do {
                if isUnsure { try await repository.returnClaims(worker: worker) }
                isUnsure = true
                let task = try await repository.claimTask(runtime: runtime, worker: worker, lease: lease)
                isUnsure = false
                outages.succeeded("claim_task")
                if let task {
                    await perform(task, as: worker, repository, stop, outages)
                } else {
                    await bell.wait(atMost: Self.pollEvery)
                }
                backoff.reset()
            } catch {
                outages.failed("claim_task", error)
                await bell.wait(atMost: max(backoff.next(), .milliseconds(100)))
            }
        }
    }

    private func perform(
        _ task: ClaimedTask, as worker: WorkerIdentity, _ repository: Repository, _ stop: AsyncEvent,
        _ outages: OutageLog
    ) async {
        let began = ContinuousClock.now
        logger.log(.taskClaimed(task, worker: worker.name))
        let (outcome, attempt) = await outcome(of: task, as: worker, repository, stop, outages)
        let took = began.duration(to: .now)
        do {
            switch outcome {
            case .reply(let reply):
                try await report { try await repository.completeTask(task.id, worker: worker, reply: reply) }
                logger.log(.taskCompleted(task, attempt: attempt, replyBytes: reply.utf8.count, took: took))
            case .failure(let reason):
                try await report { try await repository.failTask(task.id, worker: worker, error: reason) }
                logger.log(.taskFailed(task, attempt: attempt, reason: reason, took: took))
            }
        } catch {
            logger.log(.taskRefused(task, attempt: attempt, error))
        }
    }

    private enum Outcome {
        case reply(String)
        case failure(String)
    }

    /// Of the last attempt, and its number. The claim is kept from the first to the last.
    private func outcome(
        of task: ClaimedTask, as worker: WorkerIdentity, _ repository: Repository, _ stop: AsyncEvent,
        _ outages: OutageLog
    ) async -> (Outcome, attempt: Int) {
        let isLost = AsyncEvent()
        let extending = Task {
            while !Task.isCancelled {
                await Alarm.wait(until: .after(lease / 3))
                guard !Task.isCancelled else { return }
                do {
                    try await repository.extendTask(task.id, worker: worker)
                    outages.succeeded("extend_task")
                } catch PostgresError.statement(let error) where error.sqlState == Repository.lostClaim {
                    // Another worker has the task. The command is not stopped; its result will be refused, and no other
                    // attempt is begun.
                    return isLost.set()
                } catch {
                    outages.failed("extend_task", error)
                }
            }
        }
        defer { extending.cancel() }
        var backoff = Backoff(initial: .seconds(1), maximum: .seconds(30))
        var attempt = 1
        while true {
            let outcome = await runCommand(for: task, attempt: attempt, as: worker, repository, outages)
            guard case .failure(let reason) = outcome, attempt < attempts, !stop.isSet, !isLost.isSet else {
                return (outcome, attempt)
            }
            let wait = max(backoff.next(), .milliseconds(200))
            logger.log(.taskAttemptFailed(task, attempt: attempt, reason: reason, retryIn: wait))
            await stop.wait(atMost: wait)
            guard !stop.isSet, !isLost.isSet else { return (outcome, attempt) }
            attempt += 1
        }
    }

    /// - Parameter attempt: with this claim, from 1.
    private func runCommand(
        for task: ClaimedTask, attempt: Int, as worker: WorkerIdentity, _ repository: Repository, _ outages: OutageLog
    ) async -> Outcome {
        // The newest is what counts.
        let progress = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1))
        let reporting = Task {
            for await text in progress.stream {
                do {
                    try await repository.reportProgress(task.id, worker: worker, text: text)
                    outages.succeeded("report_progress")
                } catch {
                    outages.failed("report_progress", error)
                }
                try await Task.sleep(for: Self.reportEvery)
            }
        }
        defer { reporting.cancel() }
        let printed = Mutex(CommandOutput())
        let errors = command.showsErrors ? ErrorOutput(taskID: task.id) : nil
        defer { errors?.finish() }
        do {
            let result = try await ChildProcess.run(
                command.words[0], Array(command.words.dropFirst()), environment: command.environment,
                input: Data(Self.conversation(task, attempt: attempt).utf8),
                containment: command.containment(outputLimit: Self.maxReplyBytes), deadline: .after(timeout),
                received: { bytes in
                    for text in printed.withLock({ $0.receive(bytes) }) { progress.continuation.yield(text) }
                },
                receivedError: { errors?.receive($0) })
            guard result.status == 0 else {
                return .failure("the agent's command ended with status \(result.status)")
            }
            return .reply(CommandOutput.reply(result.output))
        } catch is DeadlineExceeded {
            return .failure("the agent's command did not end within \(Int(timeout.seconds)) s")
        } catch {
            return .failure("the agent's command could not be run")
        }
    }

    /// What the command gets on stdin; see README, "Workers".
    static func conversation(_ task: ClaimedTask, attempt: Int = 1) -> String {
        func quote(_ text: String) -> String {
            let data = try? JSONSerialization.data(withJSONObject: text, options: [.fragmentsAllowed])
            return String(decoding: data ?? Data("\"\"".utf8), as: UTF8.self)
        }
        // `messages` is JSON from the database already.
        return """
            {"version":1,"task_id":\(task.id),"session_id":\(task.sessionID),"workspace":\(quote(task.workspace)),\
            "agent":\(quote(task.agent)),"chat_id":\(quote(task.chatID)),"chat_type":\(quote(task.chatType)),\
            "attempt":\(task.attempt + attempt - 1),"context":\(task.context),\
            "group_context":\(task.groupContext),"messages":\(task.messages)}

            """
    }

    /// A database that is away for a moment must not cost the work; a claim that is lost is final.
    private func report(_ body: () async throws -> Void) async throws {
        let deadline = Deadline.after(max(lease, .seconds(60)))
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(1))
        while true {
            do {
                return try await body()
            } catch PostgresError.statement(let error) where error.sqlState == Repository.lostClaim {
                throw PostgresError.statement(error)
            } catch {
                guard !deadline.hasPassed else { throw error }
                try await Task.sleep(for: max(backoff.next(), .milliseconds(100)))
            }
        }
    }
}
