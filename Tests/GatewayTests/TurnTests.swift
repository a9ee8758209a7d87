import AsyncRuntime
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

/// S27 of the security review: who waits for whom in the queue of a runtime.
@Suite("Persons take turns")
struct TurnTests {
    /// Queues a task for each topic, in one flush; the topic's name begins with the person's.
    private func queue(_ topics: [String], in fixture: Fixture) async throws {
        for topic in topics {
            let person = "ou_" + topic.prefix { $0 != "_" }
            let message = Fixture.message(
                "om_\(topic)", topic, chat: "oc_group", thread: "omt_\(topic)", sender: person, type: .group)
            try await fixture.ingest(message)
        }
        let open = try await fixture.repository.loadWindows(of: [fixture.lease.installation])
        let outcomes = try await fixture.repository.flush(
            open.map { ($0.session, fixture.lease) }, force: true, deadline: .after(.seconds(20)))
        #expect(outcomes.count == topics.count)
    }

    /// The topic that a worker gets next; its run is completed.
    private func next(_ fixture: Fixture) async throws -> String? {
        guard let task = try await fixture.claim() else { return nil }
        try await fixture.repository.completeTask(task.id, worker: "w1", reply: "yes")
        return fixture.contents(task).first
    }

    private func all(_ fixture: Fixture) async throws -> [String] {
        var found: [String] = []
        while let topic = try await next(fixture) { found.append(topic) }
        return found
    }

    @Test("a person with many topics has one task before everybody else's next one, and not all of them")
    func manyTopics() async throws {
        let fixture = try await Fixture()
        let topics = (1...30).map { "eve_\($0)" }
        try await queue(topics, in: fixture)
        try await queue(["ann_1"], in: fixture)
        #expect(try await next(fixture) == "eve_1")
        #expect(try await next(fixture) == "ann_1")
        for number in 2...10 { #expect(try await next(fixture) == "eve_\(number)") }
        // Whoever comes in the middle of it does not wait for the rest either.
        try await queue(["ann_2", "bob_1", "ann_3"], in: fixture)
        #expect(
            try await all(fixture) == ["eve_11", "ann_2", "bob_1", "eve_12", "ann_3"] + topics.dropFirst(12))
        await fixture.pool.close()
    }

    @Test("two persons with many topics get their answers by turns; what each wrote first is answered first")
    func byTurns() async throws {
        let fixture = try await Fixture()
        try await queue((1...5).map { "ann_\($0)" }, in: fixture)
        try await queue((1...5).map { "bob_\($0)" }, in: fixture)
        #expect(try await all(fixture) == (1...5).flatMap { ["ann_\($0)", "bob_\($0)"] })
        await fixture.pool.close()
    }

    @Test("who had many answers while nobody else asked owes nothing afterwards")
    func noDebt() async throws {
        let fixture = try await Fixture()
        try await queue((1...5).map { "eve_\($0)" }, in: fixture)
        _ = try await all(fixture)
        try await queue(["eve_6"], in: fixture)
        try await queue(["ann_1"], in: fixture)
        #expect(try await all(fixture) == ["eve_6", "ann_1"])
        await fixture.pool.close()
    }

    @Test("what a run was not handed takes its turn too, and a task that lost its worker had it already")
    func restAndExpired() async throws {
        let fixture = try await Fixture()
        try await queue(["eve_1", "eve_2", "eve_3"], in: fixture)
        let lost = try #require(try await fixture.claim(lease: .zero))
        #expect(fixture.contents(lost) == ["eve_1"])
        let again = try #require(try await fixture.claim())
        #expect(again.id == lost.id && again.attempt == 2)
        // Said while the run goes on: another run, behind what else Eve asked, and with Ann's turn before it.
        try await fixture.ingest(
            Fixture.message(
                "om_more", "eve_more", chat: "oc_group", thread: "omt_eve_1", sender: "ou_eve", type: .group))
        try await fixture.pool.run("DELETE FROM gateway.pending_run")
        try await fixture.repository.completeTask(again.id, worker: "w1", reply: "yes")
        try await queue(["ann_1"], in: fixture)
        #expect(try await all(fixture) == ["eve_2", "ann_1", "eve_3", "eve_more"])
        await fixture.pool.close()
    }

    @Test("tasks that move to another runtime keep their order, and come before nobody for ever")
    func moved() async throws {
        let fixture = try await Fixture()
        try await queue((1...4).map { "eve_\($0)" }, in: fixture)
        for number in 1...2 { #expect(try await next(fixture) == "eve_\(number)") }
        try await fixture.repository.applyAgent(workspace: "acme", name: "support", runtime: "other")
        #expect(
            try await fixture.pool.rows("SELECT turn FROM gateway.agent_task WHERE status = 'queued' ORDER BY id")
                == ["(0)", "(1)"])
        await fixture.pool.close()
    }
}
