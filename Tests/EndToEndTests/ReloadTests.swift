import Foundation
import Lark
import LarkSimulator
import TestSupport
import Testing

/// Settings that SIGHUP applies, through the real daemon.
@Suite("What a reload applies")
struct ReloadTests {
    /// A daemon with its file, which is written anew.
    private struct Place {
        let stage: Stage
        let path: String
        let daemon: Daemon

        init(_ stage: Stage, _ configuration: String) async throws {
            self.stage = stage
            path = try Daemon.file(configuration)
            daemon = try Daemon(["run", "--config", path])
            guard try await daemon.logs("connection.opened") else {
                throw StageError(description: "no connection: \(daemon.output)")
            }
        }

        /// - Returns: what the log says of it.
        func reload(_ configuration: String) async throws -> JSONValue {
            let before = daemon.events("configuration.reloaded").count
            try configuration.write(toFile: path, atomically: true, encoding: .utf8)
            daemon.signal(SIGHUP)
            return try #require(
                try await daemon.logged("configuration.reloaded", count: before + 1).last,
                "\(daemon.output.suffix(2000))")
        }
    }

    @Test("18: the log's level and format: debug in the middle of an incident, and back, and no connection is touched")
    func log() async throws {
        let stage = try await Stage()
        func configuration(_ log: String) -> String {
            stage.configuration().replacing(#""log": {"level": "debug"}"#, with: #""log": \#(log)"#)
        }
        let place = try await Place(stage, configuration("{}"))
        let daemon = place.daemon
        #expect(await stage.acked(await stage.say("one"), [200]))
        #expect(try await daemon.logs("message.ingested"))
        #expect(daemon.events("message.received").isEmpty)

        let more = try await place.reload(configuration(#"{"level": "debug"}"#))
        #expect(more["applied"].string == "log.level")
        #expect(more["needs_restart"].string == nil)
        #expect(more["level"].string == "info")
        #expect(await stage.acked(await stage.say("two"), [200]))
        #expect(try await daemon.logs("message.received"))

        // A log that says less says why.
        let less = try await place.reload(configuration(#"{"level": "error", "format": "text"}"#))
        #expect(less["applied"].string == "log.level log.format")
        // By an error, which is written, it is known that the reload has ended: what comes after is silent.
        try "{".write(toFile: place.path, atomically: true, encoding: .utf8)
        daemon.signal(SIGHUP)
        #expect(try await eventually { daemon.output.contains("ERROR   configuration.refused ") })
        let written = daemon.output.split(separator: "\n").count
        #expect(await stage.acked(await stage.say("three"), [200]))
        #expect(try await eventually { try await stage.rows("SELECT FROM gateway.agent_task").count == 1 })
        #expect(daemon.output.split(separator: "\n").count == written)
        #expect(daemon.events("connection.opened").count == 1)
        #expect(daemon.events("connection.closed").isEmpty)
        await stage.end(daemon)
    }

    @Test("18: send limits: what waited for a minute that was used up goes out once the limit is raised")
    func sendLimits() async throws {
        let stage = try await Stage()
        let limit = #", "send_limits": {"per_app_minute": 1}"#
        let place = try await Place(stage, stage.configuration(extra: limit))
        let worker = try await stage.startWorker()
        await stage.say("one", in: "oc_1")
        #expect(await stage.sent(1).count == 1)
        await stage.say("two", in: "oc_2")
        #expect(
            try await eventually { try await stage.rows("SELECT FROM gateway.outbox WHERE sent_at IS NULL").count == 1 }
        )
        let event = try await place.reload(stage.configuration())
        #expect(event["applied"].string == "send_limits.per_app_minute")
        #expect(await stage.sent(2).count == 2)
        await stage.end(place.daemon, worker)
    }

    @Test(
        "18: batching: a window of an hour is open when the times change; the next message gets its run by the new ones"
    )
    func batching() async throws {
        let stage = try await Stage()
        let place = try await Place(stage, stage.configuration(window: "1h", maxWait: "2h"))
        #expect(await stage.acked(await stage.say("one"), [200]))
        let event = try await place.reload(stage.configuration(window: "200ms", maxWait: "400ms"))
        #expect(event["applied"].string == "batching.silence_window batching.max_wait")
        #expect(try await stage.rows("SELECT due_at > now() + interval '50 min' FROM gateway.pending_run") == ["(t)"])
        // It extends the window, and opens another chat's.
        await stage.say("two")
        await stage.say("three", in: "oc_2", from: "ou_2")
        #expect(try await place.daemon.logs("task.queued", count: 2))
        #expect(try await stage.rows("SELECT FROM gateway.pending_run").isEmpty)
        #expect(
            try await eventually { try await stage.rows("SELECT status FROM gateway.agent_task").count == 2 })
        await stage.end(place.daemon)
    }
}
