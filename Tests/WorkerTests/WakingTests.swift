import Testing

@testable import Postgres
@testable import Worker

@Suite("What wakes a worker")
struct WakingTests {
    @Test(
        "a task of its own runtime does, and a connection that was made anew or lost; a task of another runtime does not"
    )
    func wakes() {
        func wakes(_ event: Listener.Event) -> Bool { Worker.wakes(event, runtime: "default") }
        #expect(wakes(.notified(Notification(channel: "gateway_task", payload: "default"))))
        #expect(!wakes(.notified(Notification(channel: "gateway_task", payload: "other"))))
        #expect(!wakes(.notified(Notification(channel: "gateway_task", payload: ""))))
        #expect(wakes(.listening))
        #expect(wakes(.lost(PostgresError.connection("gone"), retryIn: .seconds(1))))
    }
}
