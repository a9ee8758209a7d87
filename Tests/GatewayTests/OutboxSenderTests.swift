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
    @Test("S16: that a person can't be written to is one error a day, however often they write to the bot")
    func deadPrompts() async throws {
        let fixture = try await Fixture(access: .pairing)
        let app = SimulatedApp(id: "cli_a", secret: "s3cret")
        let simulator = LarkSimulator(apps: [app])
        try await simulator.start()
        await simulator.failMessages(
            Array(repeating: (status: 400, body: #"{"code": 230013, "msg": "no availability to this user"}"#), count: 4)
        )
        let apps = AppDirectory()
        let domain = try #require(URL(string: await simulator.url))
        apps.insert(
            OpenAPIClient(domain: domain, appID: app.id, appSecret: app.secret, http: HTTPExchange()),
            under: fixture.lease)
        let log = Recorder<LogEvent>()
        let logger = Logger { log.record($0) }
        let pacer = SendPacer(SendLimits())
        let hasWork = Doorbell()
        let sender = OutboxSender(
            repository: fixture.repository,
            messenger: Messenger(repository: fixture.repository, apps: apps, pacer: pacer), pacer: pacer,
            holder: "test", hasWork: hasWork, outages: OutageLog(logger: logger), logger: logger, metrics: Metrics())
        let sending = Task { await sender.run() }
        // So many prompts to two people; that a quarter of an hour lies between is the past of the rows.
        for (number, person) in ["ou_1", "ou_1", "ou_2", "ou_1"].enumerated() {
            try await fixture.pool.run(
                "UPDATE gateway.outbox SET created_at = now() - interval '16 minutes' WHERE dead_at IS NOT NULL")
            try await fixture.ingest(Fixture.message("om_\(number)", sender: person))
            hasWork.ring()
            let isDead = try await eventually {
                try await fixture.pool.rows("SELECT count(*) FROM gateway.outbox WHERE dead_at IS NOT NULL")
                    == ["(\(number + 1))"]
            }
            #expect(isDead)
        }
        sending.cancel()
        await sending.value
        let levels = log.all.filter { $0.name == "outbox.died" }.map(\.level)
        #expect(levels == [.error, .debug, .error, .debug])
        await simulator.stop()
        await fixture.pool.close()
    }

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
