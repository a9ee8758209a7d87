import TestSupport
import Testing

@testable import Gateway

@Suite("Who gets a lease")
struct LeaseTests {
    @Test("a replica gets again what it holds and asks for; what another one holds it does not")
    func reacquired() async throws {
        let fixture = try await Fixture()
        func take(_ holder: String, dead: [String] = []) async throws -> [Int64] {
            try await fixture.repository.takeLeases(
                holder: holder, deadHolders: dead, appIDs: ["cli_a"], ttl: .seconds(90), grace: .seconds(90)
            ).map(\.lease.generation)
        }
        #expect(try await take("test") == [2])
        #expect(try await take("other").isEmpty)
        #expect(try await take("other", dead: ["test"]) == [3], "but what a dead one held, at once")
    }
}
