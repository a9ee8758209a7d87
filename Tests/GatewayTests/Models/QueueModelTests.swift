import AsyncRuntime
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("Models: the task queue")
struct QueueModelTests {
    private struct Task {
        let id: Int64
        /// All of them are one person's.
        var turn: Int
        var attempt = 1
        var worker: String?
        var handed: Int64 = 0
    }

    private struct Session {
        var last: Int64 = 0
        var user: [Int64] = []
        /// Where contexts begin.
        var contexts: [Int64] = []
        var told: Set<String> = []
        var handed: Int64 = 0
        var answered: Int64 = 0
        /// The last position that a failed run was given.
        var failed: Int64 = 0
        /// What failed, and was left behind by a /new.
        var setAside: [Int64] = []
        var hasWindow = false
        var queued: Task?
        var claimed: Task?
        /// What completed runs were given, in order.
        var completed: [Int64] = []
        var hasNews: Bool { (user.last ?? 0) > max(handed, answered) }
        /// What the next run is given: of the oldest context that has something to answer.
        var unanswered: [Int64] {
            let open = user.filter { $0 > answered }
            guard let first = open.first, let end = contexts.first(where: { $0 > first }) else { return open }
            return open.filter { $0 < end }
        }

        /// Leaves behind what failed and is not answered.
        mutating func setAside(upTo position: Int64) {
            setAside += user.filter { $0 > answered && $0 <= position }
            answered = max(answered, position)
        }

        func context(of position: Int64) -> Int64 { contexts.last { $0 <= position } ?? 0 }
    }

    /// One bot's sessions, its agent's state, and how many notices are due.
    private struct Model {
        var sessions: [Session] = [Session(), Session(), Session()]
        var isOnline = true
        var isArchived = false
        var notices = 0
        var replies = 0
        /// Behind every queued task of the person.
        var nextTurn: Int { (sessions.compactMap(\.queued?.turn).max() ?? -1) + 1 }

        /// That an agent is away is said once in an hour to a chat, until a run is claimed.
        mutating func tell(_ index: Int, _ notice: String) {
            if sessions[index].told.insert(notice).inserted { notices += 1 }
        }
    }

    private struct Rig {
        let world: ModelWorld
        let bot: ModelWorld.Bot
        let seed: Int
        var messages = 0

        /// A worker's name, of all bots' workers.
        func name(_ worker: String) -> String { "\(worker).\(seed)" }

        func key(_ index: Int) async throws -> SessionKey? {
            let rows = try await world.pool.rows(
                "SELECT session_id FROM gateway.chat_binding WHERE installation_id = $1 AND chat_id = $2",
                [.int(bot.lease.installation.rawValue), .text("oc_\(index)")])
            return rows.first.flatMap { Int64($0.dropFirst().dropLast()) }.map {
                SessionKey(installation: bot.lease.installation, session: $0)
            }
        }
    }

    @Test(
        "I5, I10: any sequence of messages, windows, claims, ends, deaths, outages of the agent: each message answered once, in order"
    )
    func queue() async throws {
        let world = try await ModelWorld()
        try await ModelSeeds.tryAll(1_000, sideBySide: 4) { seed, random in
            var rig = Rig(world: world, bot: try await world.makeBot(seed, access: .open), seed: seed)
            var model = Model()
            for step in 0..<Int.random(in: 10...25, using: &random) {
                let index = Int.random(in: 0..<3, using: &random)
                do {
                    switch Int.random(in: 0..<15, using: &random) {
                    case 0...2: try await store("", index, &rig, &model)
                    case 3: try await store(random.pick(["/new", "/new ", "/new ", "/help"]), index, &rig, &model)
                    case 4...5: try await flush(index, rig, &model)
                    case 6...7: try await claim(rig.name(random.pick(["w1", "w2"])), rig, &model)
                    case 8...9: try await complete(index, rig, &model, &random)
                    case 10: try await fail(index, rig, &model)
                    case 11: try await expire(index, rig, &model)
                    case 12: try await returnClaims("w1", rig, &model)
                    case 13: try await setOnline(!model.isOnline, rig, &model)
                    default: try await setArchived(!model.isArchived, rig, &model)
                    }
                } catch let error as Deviation {
                    throw Deviation("step \(step): \(error.description)")
                }
            }
            try await drain(&rig, &model)
            for session in model.sessions {
                try Deviation.unless(
                    session.completed == session.user.filter { !session.setAside.contains($0) },
                    "answered \(session.completed) of \(session.user) without \(session.setAside)")
            }
            let counts = try await world.pool.rows(
                """
                SELECT count(*) FILTER (WHERE kind = 'notice'), count(*) FILTER (WHERE kind = 'reply')
                FROM gateway.outbox WHERE installation_id = $1
                """, [.int(rig.bot.lease.installation.rawValue)])
            try Deviation.unless(counts == ["(\(model.notices),\(model.replies))"], "\(counts): \(model)")
        }
        await world.pool.close()
    }

    // MARK: What can happen

    /// - Parameter command: with a space at its end it has a text.
    private func store(_ command: String, _ index: Int, _ rig: inout Rig, _ model: inout Model) async throws {
        rig.messages += 1
        let hasText = command == "" || command.hasSuffix(" ")
        let message = Fixture.message(
            "om_\(rig.seed)_\(rig.messages)", command + (hasText ? "m\(rig.messages)" : ""), chat: "oc_\(index)",
            app: rig.bot.appID)
        let result = try await rig.world.repository.ingest(
            [IngestRow(lease: rig.bot.lease, message: message)], deadline: .after(.seconds(30)))
        model.sessions[index].last += 1
        let position = model.sessions[index].last
        if command.hasPrefix("/new") {
            model.sessions[index].contexts.append(position)
            if model.sessions[index].claimed == nil {
                model.sessions[index].setAside(upTo: model.sessions[index].failed)
            }
        }
        if hasText { model.sessions[index].user.append(position) } else { model.notices += 1 }
        let isCovered = model.sessions[index].queued != nil || !hasText
        if !isCovered { model.sessions[index].hasWindow = true }
        try Deviation.unless(
            result.first?.position == position && result.first?.hasOpenWindow == !isCovered, "stored \(result)")
    }

    private func flush(_ index: Int, _ rig: Rig, _ model: inout Model) async throws {
        guard let key = try await rig.key(index) else { return }
        let outcome = try await rig.world.repository.flush(
            [(key, rig.bot.lease)], force: true, deadline: .after(.seconds(30)))[key]
        let session = model.sessions[index]
        model.sessions[index].hasWindow = false
        var expected = FlushOutcome.gone
        if session.hasWindow {
            if !session.hasNews {
                expected = .empty
            } else if model.isArchived {
                expected = .agentArchived
            } else if !model.isOnline {
                expected = .agentOffline
            } else if session.queued != nil {
                expected = .queued(taskID: nil)
            } else if case .queued(let id?) = outcome {
                expected = .queued(taskID: id)
                model.sessions[index].queued = Task(id: id, turn: model.nextTurn)
            }
        }
        if [.agentArchived, .agentOffline].contains(expected) { model.tell(index, "\(expected)") }
        try Deviation.unless(outcome == expected, "flushed \(String(describing: outcome)), expected \(expected)")
    }

    private func claim(_ worker: String, _ rig: Rig, _ model: inout Model) async throws {
        let claimed = try await rig.world.repository.claimTask(
            runtime: rig.bot.runtime, worker: WorkerIdentity(name: worker), lease: .seconds(3600))
        var expected: (index: Int, task: Task, positions: [Int64], context: Int64)?
        while let index = model.sessions.indices.filter({
            model.sessions[$0].queued != nil && model.sessions[$0].claimed == nil
        }).min(by: {
            let (one, other) = (model.sessions[$0].queued, model.sessions[$1].queued)
            return (one?.turn ?? 0, one?.id ?? 0) < (other?.turn ?? 0, other?.id ?? 0)
        }),
            var task = model.sessions[index].queued
        {
            model.sessions[index].queued = nil
            let positions = model.sessions[index].unanswered
            // Nothing is left to answer: the task is cancelled.
            guard let last = positions.last else { continue }
            (task.worker, task.handed) = (worker, last)
            model.sessions[index].claimed = task
            model.sessions[index].handed = max(model.sessions[index].handed, last)
            expected = (index, task, positions, model.sessions[index].context(of: last))
            model.sessions[index].told = []
            break
        }
        let positions = claimed.flatMap { JSONValue(parsing: $0.messages)?.array.compactMap { $0["position"].integer } }
        try Deviation.unless(
            claimed?.id == expected?.task.id && positions?.map(Int64.init) == expected?.positions
                && claimed?.attempt == expected?.task.attempt && claimed?.context == expected?.context,
            "claimed \(claimed?.id ?? 0) \(positions ?? []), expected \(String(describing: expected))")
    }

    /// What a run was not given, and no window covers, gets a run of its own, or a window that tells the chat.
    private func queueRest(_ index: Int, _ rig: Rig, _ model: inout Model) async throws {
        let session = model.sessions[index]
        guard (session.user.last ?? 0) > session.answered, !session.hasWindow, session.queued == nil else { return }
        guard model.isOnline, !model.isArchived else {
            model.sessions[index].hasWindow = true
            return
        }
        guard let key = try await rig.key(index) else { return }
        let rows = try await rig.world.pool.rows(
            "SELECT id FROM gateway.agent_task WHERE installation_id = $1 AND session_id = $2 AND status = 'queued'",
            [.int(key.installation.rawValue), .int(key.session)])
        guard let id = rows.first.flatMap({ Int64($0.dropFirst().dropLast()) }) else {
            throw Deviation("no task for what is left")
        }
        model.sessions[index].queued = Task(id: id, turn: model.nextTurn)
    }

    private func complete(
        _ index: Int, _ rig: Rig, _ model: inout Model, _ random: inout SeededGenerator
    ) async throws {
        let task = model.sessions[index].claimed
        let worker = random.happens(oneIn: 4) ? "somebody" : task?.worker ?? rig.name("w1")
        let reply = random.happens(oneIn: 4) ? "" : "yes"
        let isTaken = try await isAccepted {
            try await rig.world.repository.completeTask(
                task?.id ?? 0, worker: WorkerIdentity(name: worker), reply: reply)
        }
        try Deviation.unless(isTaken == (task != nil && worker == task?.worker), "completed by \(worker): \(isTaken)")
        guard isTaken, let task else { return }
        model.sessions[index].completed += model.sessions[index].unanswered.filter { $0 <= task.handed }
        model.sessions[index].answered = max(model.sessions[index].answered, task.handed)
        model.sessions[index].claimed = nil
        if reply != "" {
            model.sessions[index].last += 1
            model.replies += 1
        }
        try await queueRest(index, rig, &model)
    }

    private func fail(_ index: Int, _ rig: Rig, _ model: inout Model) async throws {
        guard let task = model.sessions[index].claimed, let worker = task.worker else { return }
        try await rig.world.repository.failTask(task.id, worker: WorkerIdentity(name: worker), error: "broken")
        try await failed(task, index, rig, &model)
    }

    private func failed(_ task: Task, _ index: Int, _ rig: Rig, _ model: inout Model) async throws {
        model.sessions[index].claimed = nil
        model.sessions[index].failed = max(model.sessions[index].failed, task.handed)
        // Each failure is told.
        model.notices += 1
        guard (model.sessions[index].contexts.last ?? 0) > task.handed else { return }
        model.sessions[index].setAside(upTo: task.handed)
        try await queueRest(index, rig, &model)
    }

    private func expire(_ index: Int, _ rig: Rig, _ model: inout Model) async throws {
        guard var task = model.sessions[index].claimed else { return }
        try await rig.world.pool.run(
            "UPDATE gateway.agent_task SET claim_expires_at = now() - interval '1 s' WHERE id = $1", [.int(task.id)])
        try await rig.world.pool.run("SELECT gateway.expire_claims($1)", [.text(rig.bot.runtime)])
        model.sessions[index].claimed = nil
        if task.attempt >= 5 {
            try await failed(task, index, rig, &model)
        } else {
            task.attempt += 1
            task.turn = 0
            model.sessions[index].queued = task
        }
    }

    /// By a worker whose call of claim_task got no answer.
    private func returnClaims(_ name: String, _ rig: Rig, _ model: inout Model) async throws {
        let worker = rig.name(name)
        try await rig.world.repository.returnClaims(worker: WorkerIdentity(name: worker))
        try await rig.world.pool.run("SELECT gateway.expire_claims($1)", [.text(rig.bot.runtime)])
        for index in model.sessions.indices where model.sessions[index].claimed?.worker == worker {
            model.sessions[index].queued = model.sessions[index].claimed
            model.sessions[index].queued?.turn = 0
            model.sessions[index].claimed = nil
        }
    }

    private func setOnline(_ isOnline: Bool, _ rig: Rig, _ model: inout Model) async throws {
        model.isOnline = isOnline
        try await rig.world.pool.run(
            """
            UPDATE gateway.agent a SET runtime_id = $2 FROM gateway.installation i
            WHERE i.id = $1 AND a.id = i.agent_id
            """, [.int(rig.bot.lease.installation.rawValue), .text(isOnline ? rig.bot.runtime : nil)])
        reconsider(&model)
    }

    private func setArchived(_ isArchived: Bool, _ rig: Rig, _ model: inout Model) async throws {
        model.isArchived = isArchived
        try await rig.world.pool.run(
            """
            UPDATE gateway.agent a SET archived_at = CASE WHEN $2 THEN now() END FROM gateway.installation i
            WHERE i.id = $1 AND a.id = i.agent_id
            """, [.int(rig.bot.lease.installation.rawValue), .bool(isArchived)])
        reconsider(&model)
    }

    /// Whoever waits for a run gets a window, and its fate is decided anew when that closes.
    private func reconsider(_ model: inout Model) {
        for index in model.sessions.indices {
            if model.isOnline, !model.isArchived {
                if model.sessions[index].hasNews, model.sessions[index].queued == nil {
                    model.sessions[index].hasWindow = true
                }
                continue
            }
            if model.sessions[index].queued != nil {
                model.sessions[index].queued = nil
                model.sessions[index].hasWindow = true
            }
            if model.isArchived, model.sessions[index].claimed != nil {
                model.sessions[index].claimed = nil
                model.sessions[index].handed = model.sessions[index].answered
                model.sessions[index].hasWindow = true
            }
        }
    }

    /// All is well again, everybody writes once more, and workers do what there is.
    private func drain(_ rig: inout Rig, _ model: inout Model) async throws {
        if model.isArchived { try await setArchived(false, rig, &model) }
        if !model.isOnline { try await setOnline(true, rig, &model) }
        for index in 0..<3 where !model.sessions[index].user.isEmpty {
            try await store("", index, &rig, &model)
        }
        var random = SeededGenerator(seed: 1)
        for _ in 0..<12 {
            for index in 0..<3 { try await flush(index, rig, &model) }
            for _ in 0..<6 {
                for index in 0..<3 where model.sessions[index].claimed != nil {
                    try await complete(index, rig, &model, &random)
                }
                try await claim(rig.name("w1"), rig, &model)
            }
        }
    }

    private func isAccepted(_ body: () async throws -> Void) async throws -> Bool {
        do {
            try await body()
            return true
        } catch PostgresError.statement(let error) where error.sqlState == Repository.lostClaim {
            return false
        }
    }
}
