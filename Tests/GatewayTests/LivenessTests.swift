import AsyncRuntime
import TestSupport
import Testing

@testable import Gateway

@Suite("Whether the parts of the gateway answer")
struct LivenessTests {
    private let start = ContinuousClock.now

    /// Whether that answer ends the round.
    private func ends(_ part: Liveness.Part, after seconds: Int, _ liveness: inout Liveness) -> Bool {
        liveness.answered(part, at: start + .seconds(seconds))
    }

    private func silences(_ liveness: Liveness, after seconds: Int) -> [String] {
        liveness.silences(at: start + .seconds(seconds)).map(\.description)
    }

    @Test("a part is silent when it has not answered for longer than it may take, and no longer once it answers")
    func silence() {
        var liveness = Liveness(interval: .seconds(30))
        liveness.beginRound([.dispatcher, .sockets], at: start)
        #expect(!ends(.dispatcher, after: 1, &liveness))
        #expect(silences(liveness, after: 30) == [])
        #expect(silences(liveness, after: 31) == ["sockets: no answer for 31 s"])
        #expect(ends(.sockets, after: 40, &liveness))
        #expect(silences(liveness, after: 41) == [])
    }

    @Test("rounds that do not come any more are a silence too")
    func noRounds() {
        var liveness = Liveness(interval: .seconds(30))
        #expect(silences(liveness, after: 1_000) == [], "nobody has asked yet")
        liveness.beginRound([.tasks], at: start)
        #expect(ends(.tasks, after: 0, &liveness))
        #expect(silences(liveness, after: 60) == [])
        #expect(silences(liveness, after: 61) == ["tasks: no answer for 31 s"])
        liveness.beginRound([.tasks], at: start + .seconds(61))
        #expect(silences(liveness, after: 62) == [])
        liveness.end()
        #expect(silences(liveness, after: 1_000) == [])
    }

    @Test("an answer that nobody waits for ends no round")
    func strayAnswers() {
        var liveness = Liveness(interval: .seconds(30))
        #expect(!ends(.hub, after: 0, &liveness))
        liveness.beginRound([.hub], at: start)
        #expect(!ends(.dispatcher, after: 0, &liveness))
        #expect(ends(.hub, after: 0, &liveness))
        #expect(!ends(.hub, after: 0, &liveness))
    }

    @Test("a beat follows each round in which all answered; a part that hangs ends them, and holds up no stop")
    func beats() async throws {
        let mayAnswer = AsyncEvent()
        let rounds = Recorder<Int>()
        let beats = Recorder<Int>()
        let probe = LivenessProbe(
            interval: .milliseconds(10),
            [
                .dispatcher: {
                    rounds.record(1)
                    // From the third round on.
                    if rounds.all.count > 2 { await mayAnswer.wait() }
                }, .tasks: {},
            ])
        let running = Task { await probe.run { beats.record(1) } }
        #expect(try await eventually { probe.silences.map(\.part) == [.dispatcher] })
        #expect(beats.all.count == 2 && rounds.all.count == 3)
        mayAnswer.set()
        #expect(try await eventually { beats.all.count > 2 })
        running.cancel()
        await running.value
        #expect(probe.silences.isEmpty)
    }

    @Test("one that is asked and never answers holds up no stop")
    func cancelled() async {
        let isAsked = AsyncEvent()
        let probe = LivenessProbe(
            interval: .seconds(600),
            [
                .hub: {
                    isAsked.set()
                    await Task.detached { await AsyncEvent().wait() }.value
                }
            ])
        let running = Task { await probe.run {} }
        await isAsked.wait()
        running.cancel()
        await running.value
    }

    @Test("every part of a gateway that runs is asked, and answers")
    func allParts() async throws {
        let ground = Assembly.Ground(
            GatewaySettings(databaseURL: "host=/nowhere", agents: [], installations: []), transport: nil,
            logger: LogRecorder().logger, metrics: Metrics())
        let probe = LivenessProbe(Assembly(ground), interval: .milliseconds(1))
        #expect(Set(probe.parts) == Set(Liveness.Part.allCases))
        let beats = Recorder<Int>()
        let running = Task { await probe.run { beats.record(1) } }
        #expect(try await eventually { beats.all.count > 3 }, "the database is no part of it")
        running.cancel()
        await running.value
        await ground.pool.close()
    }
}
