import TestSupport
import Testing

@testable import lark_gateway

@Suite("What systemd shows of the service")
struct StatusLineTests {
    @Test("the private Postgres that ends and comes back comes before the usual words, at a stop too")
    func texts() {
        var line = StatusLine()
        #expect(line.text == "starting")
        line.installations = 2
        #expect(line.text == "2 installations")
        line.postgres = .startingAgain(attempt: 2)
        #expect(line.text == "Postgres ended, starting it again (attempt 2)")
        line.postgres = .running
        #expect(line.text == "2 installations")
        line.isStopping = true
        #expect(line.text == "flushing and closing")
        line.postgres = .givenUp
        #expect(line.text == "Postgres can't be started again, stopping")
    }

    @Test("each change is told once; a reload that ends after the stop began does not say that the service is ready")
    func told() throws {
        let systemd = try NotifySocket()
        let status = ServiceStatus(SystemdNotifier(environment: ["NOTIFY_SOCKET": systemd.path]))
        status.ready(installations: 1)
        status.postgresChanged(.running)
        status.postgresChanged(.startingAgain(attempt: 1))
        status.postgresChanged(.running)
        status.stopping()
        status.ready(installations: 3)
        var told: [String] = []
        while let datagram = systemd.next() { told.append(datagram) }
        #expect(
            told == [
                "READY=1\nSTATUS=1 installations", "STATUS=Postgres ended, starting it again (attempt 1)",
                "STATUS=1 installations", "STOPPING=1\nSTATUS=flushing and closing",
            ])
    }
}
