import AsyncRuntime
import Curl
import Foundation
import Lark
import LarkSimulator
import Postgres
import TestSupport
import Testing

@testable import Gateway
@testable import Store

@Suite("The sender of the outbox")
struct OutboxSenderTests {
    @Test("a send that takes longer than its row stays claimed is recorded all the same, and the message goes out once")
    func slowSend() async throws {
        let fixture = try await Fixture()
        let app = SimulatedApp(id: "cli_a", secret: "s3cret")
        let simulator = LarkSimulator(apps: [app])
        try await simulator.start()
        let apps = AppDirectory()
        let domain = try #require(URL(string: await simulator.url))
        apps.insert(
            OpenAPIClient(domain: domain, appID: app.id, appSecret: app.secret, http: HTTPExchange()),
            under: fixture.lease)
        try await fixture.ingest(Fixture.message("om_1", "/help"))

        let log = Recorder<LogEvent>()
        let logger = Logger { log.record($0) }
        let pacer = SendPacer(SendLimits())
        let sender = OutboxSender(
            repository: fixture.repository,
            messenger: Messenger(repository: fixture.repository, apps: apps, pacer: pacer), pacer: pacer,
            holder: "test", hasWork: Doorbell(), outages: OutageLog(logger: logger), logger: logger,
            metrics: Metrics(), visibility: .zero)
        let sending = Task { await sender.run() }
        let isRecorded = try await eventually {
            try await fixture.pool.rows("SELECT sent_at IS NOT NULL, dead_at IS NULL FROM gateway.outbox") == ["(t,t)"]
        }
        #expect(isRecorded)
        sending.cancel()
        await sending.value
        #expect(await simulator.sentMessages.count == 1)
        await simulator.stop()
        await fixture.pool.close()
    }
}
