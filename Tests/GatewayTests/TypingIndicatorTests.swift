import Foundation
import Lark
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("The typing indicator")
struct TypingIndicatorTests {
    @Test("B20: a message that comes two minutes late or more gets no sign")
    func freshness() {
        var message = Fixture.message("om_1")
        message.sentAtMilliseconds = 1_000_000
        #expect(TypingIndicator.isFresh(message, now: Date(timeIntervalSince1970: 1_119)))
        #expect(!TypingIndicator.isFresh(message, now: Date(timeIntervalSince1970: 1_120)))
        message.sentAtMilliseconds = nil
        #expect(TypingIndicator.isFresh(message, now: Date()))
    }

    @Test("F7: a sign is over when its message is answered, or when nothing waits for the agent any more")
    func signs() async throws {
        let fixture = try await Fixture()
        let repository = fixture.repository
        func taken() async throws -> [String] {
            try await fixture.pool.run("UPDATE gateway.typing SET next_attempt_at = now()")
            return try await repository.takeTyping(holder: "test", limit: 10).map(\.messageID)
        }
        func begin(_ id: String) async throws -> SessionKey {
            let result = try await fixture.ingest(Fixture.message(id))[0]
            let session = try #require(result.session)
            let sign = try await repository.beginTyping(
                under: id, of: session, at: try #require(result.position), under: fixture.lease)
            #expect(sign != nil)
            return session
        }
        let session = try await begin("om_1")
        #expect(try await taken().isEmpty, "its window is open")
        try await fixture.flush(session)
        #expect(try await taken().isEmpty, "its task is queued")
        let task = try #require(try await fixture.claim())
        #expect(try await taken().isEmpty, "its task is claimed")
        _ = try await begin("om_2")
        try await repository.completeTask(task.id, worker: "w1", reply: "")
        #expect(try await taken() == ["om_1"], "the other one waits for its own answer")
        #expect(try await repository.takeTyping(holder: "other", limit: 10).isEmpty)
        try await fixture.flush(session)
        let second = try #require(try await fixture.claim())
        try await repository.failTask(second.id, worker: "w1", error: "broken")
        #expect(try await Set(taken()) == ["om_1", "om_2"], "nothing waits: it failed")
        // What waits for an attempt is still taken by who is about to send the answer.
        #expect(try await repository.takeTyping(holder: "test", limit: 10).isEmpty)
        #expect(try await repository.takeTyping(holder: "test", limit: 10, of: session).count == 2)

        let stranger = Lease(installation: fixture.lease.installation, generation: 7)
        #expect(try await repository.beginTyping(under: "om_3", of: session, at: 9, under: stranger) == nil)
        try await fixture.pool.run("UPDATE gateway.agent SET runtime_id = NULL")
        #expect(try await repository.beginTyping(under: "om_3", of: session, at: 9, under: fixture.lease) == nil)
    }
}
