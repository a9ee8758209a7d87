import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// A daemon, a worker, a Postgres of their own and a simulated Lark, under a steady load of 50 chats, for faults to be
/// done to. After each fault everything is counted.
final class LoadedGateway {
    static let chats = 50

    let server: PrivatePostgres
    let stage: Stage
    private(set) var daemon: Daemon
    /// Other replicas beside it.
    private(set) var others: [Daemon] = []
    private(set) var worker: Daemon
    var random: SeededGenerator
    let configuration: String
    private let workerOptions: [String]
    private let command: [String]
    private var round = 0
    private var load: SteadyLoad?
    private let name: String
    private let pause: ClosedRange<Duration>
    /// As whom the daemon runs; nil: as we do.
    private let user: String?

    /// - Parameter name: of the fault, for what is printed.
    /// - Parameter runTime: of a run of the agent, in seconds.
    /// - Parameter otherReply: a shell command for what is printed where no message of the load was given.
    /// - Parameter extra: of the configuration.
    /// - Parameter pause: between two messages of a chat.
    /// - Parameter state: the state directory of a daemon that brings its own Postgres, `server`; nil: a server that
    /// the test starts and stops.
    /// - Parameter executable: of the version that is there at first.
    /// - Parameter prepare: called before anybody uses the database.
    /// - Parameter claimLease: how long a task stays claimed by a worker that is dead.
    init(
        _ name: String, apps: [SimulatedApp] = [Stage.app], replicas: Int = 1,
        timing: LarkSimulator.Timing = LoadedGateway.timing, settings: [String: String] = [:],
        pause: ClosedRange<Duration> = .milliseconds(200)...(.milliseconds(1_200)), claimLease: String = "60s",
        runTime: String? = nil, otherReply: String? = nil, state: String? = nil,
        executable: String = Daemon.executable, extra: String = "",
        prepare: (PrivatePostgres) async throws -> Void = { _ in }
    ) async throws {
        self.name = name
        self.pause = pause
        workerOptions = ["--concurrency", runTime == nil ? "4" : "16", "--lease", claimLease]
        // The reply says which messages the run was given.
        let find = "grep -oE 'c[0-9]+r[0-9]+m[0-9]+'" + (otherReply.map { " || \($0)" } ?? "")
        command = ["/bin/sh", "-c", runTime.map { "sleep \($0); \(find)" } ?? find]
        random = SeededGenerator(seed: FaultSettings.seed)
        if let state {
            user = geteuid() == 0 ? "postgres" : nil
            if let account = user.flatMap({ getpwnam($0) }) { chown(state, account.pointee.pw_uid, gid_t.max) }
            server = PrivatePostgres(directory: state + "/postgres", runAs: user)
            ExitCleanup.addServer(server.directory)
        } else {
            user = nil
            server = try await TestPostgres.makeServer(settings: settings)
        }
        try await prepare(server)
        stage = try await Stage(url: server.url, apps: apps, timing: timing)
        configuration = stage.configuration(
            database: state == nil, extra: extra + (state.map { #", "state_directory": "\#($0)""# } ?? ""))
        daemon = try await stage.start(configuration, user: user, executable: executable)
        for _ in 1..<replicas {
            // Of one bot a replica beside its owner makes no connection.
            let other = try Daemon.run(configuration, executable: executable)
            _ = try await other.logs(apps.count < replicas ? "gateway.started" : "connection.opened")
            others.append(other)
        }
        worker = try await stage.startWorker(command: command, options: workerOptions, executable: executable)
    }

    static var timing: LarkSimulator.Timing {
        var timing = LarkSimulator.Timing()
        timing.ackTimeout = .seconds(1)
        timing.retryDelay = .milliseconds(200)
        return timing
    }

    func restartDaemon() async throws {
        daemon = try await stage.start(configuration, user: user)
    }

    /// Returns when the daemon with its own Postgres works. One that has given up is started again, as systemd does.
    func daemonWorksAgain() async throws {
        let isOver = try await eventually(within: .seconds(90)) { [daemon] in
            if !daemon.events("postgres.given_up").isEmpty { return true }
            return (try? await daemon.readiness()) == 200
        }
        guard isOver else { throw StageError(description: "not ready, not given up: \(daemon.output.suffix(3000))") }
        guard !daemon.events("postgres.given_up").isEmpty else { return }
        #expect(await daemon.ended() == 1)
        try await restartDaemon()
    }

    /// One replica after the other stops in order, and starts again.
    func restartEachReplica() async throws {
        for index in others.indices {
            #expect(await others[index].stop() == 0, "\(others[index].output.suffix(2_000))")
            others[index] = try await stage.start(configuration)
        }
        #expect(await daemon.stop() == 0, "\(daemon.output.suffix(2_000))")
        try await restartDaemon()
    }

    /// Stops a replica of the version before, in order, and starts one of this version.
    /// - Parameter owner: the one that was first, and owns the bot; else the other one.
    func upgrade(owner: Bool) async throws {
        let old = owner ? daemon : others[0]
        #expect(await old.stop() == 0, "\(old.output.suffix(2_000))")
        let new = try Daemon.run(configuration)
        guard try await new.logs("gateway.started") else { throw StageError(description: new.output) }
        if owner { daemon = new } else { others[0] = new }
    }

    func upgradeWorker() async throws {
        #expect(await worker.stop() == 0)
        worker = try await stage.startWorker(command: command, options: workerOptions)
    }

    /// Kills the worker, and starts another, until one died in the middle of a task. At a random moment there may be
    /// none.
    func killWorkerAmidTasks() async throws {
        for _ in 0..<20 {
            await worker.killNow()
            // What it had sent when it died still counts.
            let backends = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lark-gateway worker'"
            let isGone = try await eventually { [stage] in try await stage.rows(backends).isEmpty }
            let claims = "SELECT id FROM gateway.agent_task WHERE status = 'claimed'"
            let left = try await stage.rows(claims)
            worker = try await stage.startWorker(command: command, options: workerOptions)
            guard isGone else { throw StageError(description: "a dead worker's connections stay") }
            if !left.isEmpty { return }
            _ = try await eventually { [stage] in try await !stage.rows(claims).isEmpty }
        }
        throw StageError(description: "no worker died in the middle of a task")
    }

    /// Under load `rounds` times: `fault` at a random moment, and then everything must come to rest and add up.
    func eachRound(_ rounds: Int, _ fault: (LoadedGateway) async throws -> Void) async throws {
        let began = ContinuousClock.now
        var messages = 0
        for _ in 0..<rounds {
            round += 1
            let load = SteadyLoad(
                on: stage.simulator, appIDs: stage.apps.map(\.id), label: "r\(round)", chats: Self.chats, pause: pause)
            self.load = load
            load.start(seed: random.next())
            try await moreMessages(Int.random(in: 10...120, using: &random))
            try await fault(self)
            try await moreMessages(20)
            await load.end()
            messages += load.sent
            try await comeToRest()
            let faults = try await Ledger(stage).faults()
            guard faults.isEmpty else {
                Issue.record(
                    """
                    \(name), round \(round), seed \(FaultSettings.seed): \(faults.prefix(10).joined(separator: "; "))
                    the daemon's log ends with: \(daemon.output.suffix(3000))
                    """)
                return
            }
        }
        FaultSettings.report(
            "\(name): \(rounds) rounds, \(messages) messages, seed \(FaultSettings.seed), "
                + "\(Int(began.duration(to: .now).seconds)) s: nothing lost, nothing doubled, in order")
    }

    /// Returns when so many more messages have been sent: how a fault lasts, and where a random moment comes from.
    func moreMessages(_ count: Int) async throws {
        guard let load else { return }
        let goal = load.sent + count
        guard try await eventually(within: .seconds(60), { load.sent >= goal }) else {
            throw StageError(description: "the load does not go on")
        }
    }

    /// Returns when every message is acked, every window closed, every task done and every reply sent.
    private func comeToRest() async throws {
        let began = ContinuousClock.now
        // What is left after 30 s: a claim, or a row of the outbox, that nobody knows of stays twice as long.
        let late = Mutex("")
        let isAtRest = try await eventually(within: .seconds(120)) { [stage] in
            guard await stage.simulator.unsettledCount == 0 else { return false }
            let left = try? await stage.rows(
                """
                SELECT (SELECT count(*) FROM gateway.pending_run)
                    + (SELECT count(*) FROM gateway.agent_task WHERE status IN ('queued', 'claimed'))
                    + (SELECT count(*) FROM gateway.outbox WHERE sent_at IS NULL AND dead_at IS NULL)
                """)
            if began.duration(to: .now) > .seconds(30), late.withLock({ $0.isEmpty }) {
                let rows = try? await stage.rows(
                    """
                    SELECT 'task' AS what, id::text, status, attempt, worker, claimed_at, now() FROM gateway.agent_task
                    WHERE status IN ('queued', 'claimed')
                    UNION ALL SELECT 'outbox', id::text, kind, attempts, last_error, next_attempt_at, now()
                    FROM gateway.outbox WHERE sent_at IS NULL AND dead_at IS NULL
                    UNION ALL SELECT 'window', session_id::text, '', 0, '', due_at, now() FROM gateway.pending_run
                    """)
                late.withLock { $0 = (rows ?? []).prefix(20).joined(separator: "; ") }
            }
            return left == ["(0)"]
        }
        if began.duration(to: .now) > .seconds(30) {
            FaultSettings.report("\(name), round \(round): slow to rest; after 30 s there were \(late.withLock { $0 })")
        }
        guard isAtRest else {
            throw StageError(
                description: """
                    \(name), round \(round), seed \(FaultSettings.seed): not at rest after 120 s: \
                    \(await stage.simulator.unsettledCount) not acked; \(daemon.output.suffix(3000)) \
                    \(worker.output.suffix(1000))
                    """)
        }
    }

    func end() async throws {
        for other in others { await other.killNow() }
        await stage.end(worker, daemon)
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
    }
}
