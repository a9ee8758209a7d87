import Store
import TestSupport
import Testing

@Suite("Strangers who write a lot")
struct StrangerFloodTests {
    @Test("a stranger gets one prompt in 15 minutes, however much and wherever they write; then one more")
    func prompts() async throws {
        let fixture = try await Fixture(access: .pairing)
        func flood(_ round: Int) async throws {
            for index in 0..<20 {
                let isGroup = index % 2 == 0
                let message = Fixture.message(
                    "om_\(round)_\(index)", "let me in", chat: isGroup ? "oc_g\(index)" : "oc_p",
                    type: isGroup ? .group : .p2p)
                #expect(try await fixture.ingest(message).map(\.verdict) == [.unboundUser])
            }
        }
        let prompts =
            "SELECT kind, receive_id, created_at > now() - interval '1 minute' FROM gateway.outbox ORDER BY seq"
        try await flood(1)
        #expect(try await fixture.pool.rows(prompts) == ["(prompt,ou_1,t)"])
        // Also when it was sent.
        try await fixture.pool.run("UPDATE gateway.outbox SET sent_at = now()")
        try await flood(2)
        #expect(try await fixture.pool.rows(prompts) == ["(prompt,ou_1,t)"])
        try await fixture.pool.run("UPDATE gateway.outbox SET created_at = now() - interval '14 minutes 50 seconds'")
        try await flood(3)
        #expect(try await fixture.pool.rows(prompts) == ["(prompt,ou_1,f)"])
        try await fixture.pool.run("UPDATE gateway.outbox SET created_at = now() - interval '15 minutes 1 second'")
        try await flood(4)
        #expect(try await fixture.pool.rows(prompts) == ["(prompt,ou_1,f)", "(prompt,ou_1,t)"])
        // Somebody else is another stranger.
        try await fixture.ingest(Fixture.message("om_other", sender: "ou_2"))
        #expect(try await fixture.pool.rows(prompts).last == "(prompt,ou_2,t)")
        #expect(try await fixture.pool.rows("SELECT count(*) FROM gateway.chat_message") == ["(0)"])
    }
}
