import AsyncRuntime

/// Asks the parts of a running gateway whether they are there, round after round. It asks nothing of the database, nor
/// of the platform: where those are away, a restart of the process helps nobody.
final class LivenessProbe: Sendable {
    typealias Question = @Sendable () async -> Void

    private let state: Mutex<Liveness>
    private let interval: Duration
    private let questions: [Liveness.Part: Question]

    init(interval: Duration, _ questions: [Liveness.Part: Question]) {
        state = Mutex(Liveness(interval: interval))
        self.interval = interval
        self.questions = questions
    }

    var parts: [Liveness.Part] { Array(questions.keys) }
    var silences: [Liveness.Silence] { state.withLock { $0.silences(at: .now) } }

    /// Asks until the task is cancelled.
    /// - Parameter beat: called after each round in which every part answered, so also late, but then at once.
    func run(beat: @Sendable () -> Void) async {
        while !Task.isCancelled {
            let next = Deadline.after(interval)
            await askAll()
            guard !Task.isCancelled else { break }
            beat()
            await Alarm.wait(until: next)
        }
        state.withLock { $0.end() }
    }

    /// Returns when every part has answered, or when the task is cancelled: a part that never answers holds up no stop.
    private func askAll() async {
        let isOver = AsyncEvent()
        state.withLock { $0.beginRound(parts, at: .now) }
        let asking = questions.map { part, question in
            Task {
                await question()
                if state.withLock({ $0.answered(part, at: .now) }) { isOver.set() }
            }
        }
        await isOver.wait()
        for question in asking { question.cancel() }
    }
}

extension LivenessProbe {
    convenience init(_ parts: Assembly, interval: Duration) {
        let sockets = SocketEcho()
        self.init(
            interval: interval,
            [
                .dispatcher: { await parts.dispatcher.answer() },
                .hub: { await parts.hub.answer() },
                .sockets: { await sockets.wait() },
                .timers: { await Alarm.wait(until: .after(.zero)) },
                .tasks: {},
            ])
    }
}
