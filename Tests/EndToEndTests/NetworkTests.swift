import AsyncRuntime
import Foundation
import HTTPServer
import Lark
import LarkSimulator
import TestSupport
import Testing

@Suite("The daemon on networks as they are")
struct NetworkTests {
    private func secureStage(_ pair: TestCertificates.Pair) async throws -> Stage {
        try await Stage(tls: TLSIdentity(certificates: pair.certificates, key: pair.key))
    }

    @Test("through TLS of a private authority and a proxy with a password, a message is answered; no secret is logged")
    func wholeWay() async throws {
        let certificates = try await TestCertificates.shared
        let proxy = try await TestProxy(.http, wantsPassword: true)
        let stage = try await secureStage(certificates.good)
        let network = #", "network": {"ca_file": "\#(certificates.authority)", "proxy": "\#(proxy.url)"}"#
        let daemon = try await stage.start(stage.configuration(extra: network))
        let worker = try await stage.startWorker()
        await stage.say("through the proxy")
        #expect(await stage.sent(1).first?.content.contains("through the proxy") == true)
        // Bootstrap, open API and WebSocket, all of them.
        #expect(proxy.transcript.components(separatedBy: "CONNECT localhost").count > 2)
        #expect(daemon.events("gateway.started").first?["proxy"].string == "http://127.0.0.1:\(proxy.port)")
        #expect(!daemon.output.contains(TestProxy.password))
        await proxy.stop()
        await stage.end(daemon, worker)
    }

    @Test("a certificate that is not trusted is one event with the host and the reason, and check says the same")
    func untrusted() async throws {
        let certificates = try await TestCertificates.shared
        let stage = try await secureStage(certificates.expired)
        let configuration = stage.configuration(
            extra: #", "network": {"ca_file": "\#(certificates.authority)", "proxy": null}"#)
        let daemon = try Daemon.run(configuration)
        #expect(try await daemon.logs("connection.failed"))
        let reason = daemon.events("connection.failed").first?["reason"].string ?? ""
        #expect(reason.contains("localhost") && reason.contains("certificate has expired"), "\(reason)")
        let check = try Daemon(["check", "--config", try Daemon.file(configuration)])
        #expect(await check.ended() == 1)
        #expect(check.output.contains("certificate has expired"), "\(check.output)")
        await stage.end(daemon)
    }

    @Test("S11: an https domain whose bootstrap names a ws endpoint is refused, with what to do; nothing is sent there")
    func lyingBootstrap() async throws {
        let certificates = try await TestCertificates.shared
        let stage = try await secureStage(certificates.good)
        let heads = Recorder<String>()
        let elsewhere = try RawServer { peer in heads.record(peer.readHead()) }
        let url = "ws://127.0.0.1:\(elsewhere.port)/latest/meta-data/iam?service_id=1&x=1"
        await stage.simulator.failEndpoint([.raw(status: 200, body: #"{"code":0,"data":{"URL":"\#(url)"}}"#)])
        let daemon = try Daemon.run(
            stage.configuration(extra: #", "network": {"ca_file": "\#(certificates.authority)", "proxy": null}"#))
        #expect(try await daemon.logs("endpoint.refused"))
        let event = daemon.events("endpoint.refused").first
        #expect(event?["level"].string == "error" && event?["hint"].string?.contains("domain") == true)
        #expect(event?["reason"].string?.contains("endpoint of ws") == true, "\(daemon.output)")
        #expect(
            try await eventually {
                try await stage.rows("SELECT connection_state FROM gateway.installation") == ["(refused)"]
            })
        #expect(heads.all.isEmpty)
        await stage.end(daemon)
    }

    @Test("a public_url of http is a warning at the start and of check")
    func clearPublicURL() async throws {
        let stage = try await Stage()
        let configuration = stage.configuration(
            extra: #", "public_url": "http://bots.example.com", "pairing": {"listen": "127.0.0.1:0"}"#)
        let daemon = try await stage.start(configuration)
        #expect(daemon.events("configuration.warned").map { $0["key"].string } == ["public_url"])
        let check = try Daemon(["check", "--config", try Daemon.file(configuration)])
        #expect(await check.ended() == 0)
        #expect(check.output.contains("warn  public_url: http:// carries the links"), "\(check.output)")
        await stage.end(daemon)
    }

    @Test("urlsession is probed at the start, and refused where Foundation can't do it")
    func probe() async throws {
        let stage = try await Stage()
        let daemon = try Daemon.run(stage.configuration(extra: #", "transport": "urlsession""#))
        await withKnownIssue("Foundation's URLSession on Linux is no WebSocket client that can be relied on") {
            let isStarted = try await daemon.logs("gateway.started", within: .seconds(5))
            #expect(isStarted)
        }
        #expect(await daemon.ended() == 78)
        #expect(daemon.output.contains("transport: \\\"urlsession\\\" does not work with this toolchain's Foundation"))
        await stage.end(daemon)
    }

    @Test("healthy connections that the server cuts are one info line each; nothing is lost or doubled by it")
    func cuts() async throws {
        let stage = try await Stage()
        let daemon = try await stage.start(stage.configuration())
        for round in 1...4 {
            let before = await stage.say("before\(round)")
            #expect(await stage.acked(before, [200]))
            await stage.simulator.cutConnections()
            await stage.say("after\(round)")
            #expect(try await daemon.logs("connection.closed", count: round))
            #expect(try await daemon.logs("connection.opened", count: round + 1))
        }
        let expected = (1...4).flatMap { ["(before\($0))", "(after\($0))"] }.sorted()
        // In the order of arrival: what was under way at a cut comes again later.
        let stored = "SELECT content FROM gateway.chat_message ORDER BY content"
        let isStored = try await eventually(within: .seconds(30)) { try await stage.rows(stored).count >= 8 }
        #expect(isStored)
        #expect(try await stage.rows(stored) == expected)
        let closed = try await daemon.logged("connection.closed", count: 4)
        #expect(closed.map { $0["level"].string } == Array(repeating: "info", count: 4))
        #expect(!daemon.output.contains(#""level":"warning""#), "\(daemon.output)")
        await stage.end(daemon)
    }

    @Test(
        "D3: a connection that has fallen silent is ended by a ping without answer, and what came meanwhile is stored")
    func halfOpen() async throws {
        var timing = Stage.quick
        timing.pingIntervalSeconds = 1
        let stage = try await Stage(timing: timing)
        let daemon = try await stage.start(
            stage.configuration(extra: #", "long_connection": {"pong_timeout": "1s"}"#))
        let before = await stage.say("before")
        #expect(await stage.acked(before, [200]))
        await stage.simulator.fallSilent()
        // Into the silence: nobody reads it, until the platform delivers it again.
        let meanwhile = await stage.say("meanwhile")
        #expect(try await daemon.logs("connection.closed"))
        #expect(try await daemon.logs("connection.opened", count: 2))
        #expect(await stage.acked(meanwhile, [200]))
        let event = try #require(daemon.events("connection.closed").first)
        #expect(event["reason"].string == "nothing came for 1 s after a ping")
        #expect(event["level"].string == "warning")
        #expect(
            try await stage.rows("SELECT content FROM gateway.chat_message ORDER BY position") == [
                "(before)", "(meanwhile)",
            ])
        await stage.end(daemon)
    }

    @Test(
        "an upgrade that is refused for good is one event and a slow re-check",
        arguments: [
            (403, nil, 403, "forbids this connection: no such robot"),
            (514, 1_000_040_350, 1_000_040_350, "50 connections"),
        ])
    func refusedUpgrade(status: Int, detail: Int?, code: Int, words: String) async throws {
        let stage = try await Stage()
        var headers = ["Handshake-Status": "\(status)", "Handshake-Msg": "no such robot"]
        headers["Handshake-Autherrcode"] = detail.map { "\($0)" }
        await stage.simulator.refuseUpgrades([headers])
        let daemon = try Daemon.run(stage.configuration())
        #expect(try await daemon.logs("installation.refused"))
        let event = try #require(daemon.events("installation.refused").first)
        #expect(event["level"].string == "error")
        #expect(event["code"].integer == code)
        #expect(event["reason"].string?.contains(words) == true, "\(event)")
        #expect(event["retry_in_ms"].integer == 300_000)
        #expect(daemon.events("connection.failed").isEmpty)
        await stage.end(daemon)
    }

    @Test("an upgrade that is refused for now is tried again, within seconds, with a new bootstrap")
    func refusedForNow() async throws {
        let stage = try await Stage()
        await stage.simulator.refuseUpgrades([
            ["Handshake-Status": "514", "Handshake-Autherrcode": "1", "Handshake-Msg": "ticket expired"], [:],
        ])
        let daemon = try await stage.start(stage.configuration())
        let failures = try await daemon.logged("connection.failed", count: 2)
        #expect(failures.count == 2)
        #expect(failures.first?["reason"].string?.contains("ticket expired") == true, "\(failures)")
        // Full jitter below 2 s, then below 4 s.
        for (event, bound) in zip(failures, [2_000, 4_000]) {
            #expect(try #require(event["retry_in_ms"].integer) <= bound)
        }
        #expect(daemon.events("installation.refused").isEmpty)
        await stage.end(daemon)
    }

    @Test("an app with too many connections is one event, in words to act on, and a slow re-check")
    func refusals() async throws {
        let stage = try await Stage()
        await stage.simulator.failEndpoint([.code(1_000_040_350, message: "system busy")])
        let daemon = try Daemon.run(stage.configuration())
        #expect(try await daemon.logs("installation.refused"))
        let event = try #require(daemon.events("installation.refused").first)
        #expect(event["code"].integer == 1_000_040_350)
        #expect(event["reason"].string?.contains("50 connections") == true)
        #expect(event["hint"].string?.contains("stop the other processes") == true)
        #expect(event["retry_in_ms"].integer == 300_000)
        #expect(daemon.events("connection.failed").isEmpty)
        await stage.end(daemon)
    }
}
