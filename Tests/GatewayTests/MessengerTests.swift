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

/// What becomes of a message when the open API does not do what it should, and what stands in the chat then.
@Suite("The messenger, against an open API that fails")
struct MessengerTests {
    private static let app = SimulatedApp(id: "cli_1", secret: "s3cret")

    private final class Bench: Sendable {
        let simulator = LarkSimulator(apps: [MessengerTests.app])
        let pacer = SendPacer(SendLimits())
        private let repository: Repository
        private let apps = AppDirectory()
        let installation = InstallationID(rawValue: 1)

        init(repository: Repository = Repository(pool: Pool(url: "postgresql:///nowhere", size: 1))) {
            self.repository = repository
        }

        func start(domain: String? = nil) async throws {
            try await simulator.start()
            let address = if let domain { domain } else { await simulator.url }
            let url = try #require(URL(string: address))
            let client = OpenAPIClient(
                domain: url, appID: MessengerTests.app.id, appSecret: MessengerTests.app.secret,
                http: HTTPExchange(timeout: .milliseconds(1_500)))
            apps.insert(client, under: Lease(installation: installation, generation: 1))
        }

        func row(
            _ text: String, to receiver: OpenAPIClient.Receiver = .chat("oc_1"), attempts: Int = 1, id: UUID = UUID(),
            session: SessionKey? = nil
        ) -> OutboxRow {
            let isAnswer = if case .message = receiver { true } else { false }
            return OutboxRow(
                lease: Lease(installation: installation, generation: 1), session: session, id: id, kind: "reply",
                receiver: receiver,
                chatID: isAnswer ? "oc_1" : nil, payload: #"{"text": \#(Self.quote(text))}"#, attempts: attempts,
                locale: "en", agent: "support")
        }

        private static func quote(_ text: String) -> String {
            let data = try? JSONSerialization.data(withJSONObject: text, options: [.fragmentsAllowed])
            return String(decoding: data ?? Data(), as: UTF8.self)
        }

        func send(_ row: OutboxRow) async throws -> Repository.Settlement {
            let messenger = Messenger(repository: repository, apps: apps, pacer: pacer)
            return try await messenger.send(row)
        }

        /// Where the messages went, and what they say.
        func sent() async -> [String] {
            await simulator.sentMessages.map { "\($0.replyTo ?? $0.receiver): \($0.content)" }
        }
    }

    private func isRetry(_ settlement: Repository.Settlement, atLeast wait: Duration = .zero) -> Bool {
        if case .retry(let found, _) = settlement { found >= wait } else { false }
    }

    @Test("what can't be tried, since its bot is not connected yet, is no attempt, and comes again after a moment")
    func notConnected() async throws {
        let fixture = try await Fixture()
        try await fixture.ingest(Fixture.message("om_1", "/help"))
        let taken = try await fixture.repository.takeOutbox(holder: "test", limit: 10, visibility: .seconds(60))
        let row = try #require(taken.first)
        #expect(row.attempts == 1)
        let bench = Bench()
        let settlement = try await bench.send(row)
        #expect(bench.pacer.held().installations == [row.lease.installation], "its other rows wait where they are")
        #expect(settlement == .returned(for: .seconds(1), reason: "the installation is not connected here"))
        try await fixture.repository.settle(row, settlement)
        let stored = """
            SELECT attempts, taken_generation, last_error, next_attempt_at BETWEEN now() AND now() + interval '1 second'
            FROM gateway.outbox
            """
        #expect(
            try await fixture.pool.rows(stored) == ["(0,,\"the installation is not connected here\",t)"])
        await fixture.pool.close()
    }

    @Test(
        "passing failures are tried again, with nothing in the chat; then the message is there, once",
        arguments: [
            (500, "oops"), (502, "<html>bad gateway</html>"), (503, #"{"code":7}"#), (200, "<html>a portal</html>"),
            (200, #"{"code":0,"msg":"succ"#), (200, ""), (404, "not here"), (401, "who are you?"),
            (400, #"{"code":1500,"msg":"internal error"}"#), (400, #"{"code":2200,"msg":"internal error"}"#),
            (400, #"{"code":11232,"msg":"try later"}"#), (400, #"{"code":11247,"msg":"try later"}"#),
            (400, #"{"code":987654,"msg":"a code that nobody knows"}"#),
            (200, #"{"code":230020,"msg":"too fast for this chat"}"#), (200, #"{"code":230049,"msg":"being sent"}"#),
        ])
    func passing(status: Int, body: String) async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(status, body)])
        let row = bench.row("hi")
        #expect(isRetry(try await bench.send(row), atLeast: .milliseconds(500)))
        #expect(await bench.sent().isEmpty)
        guard case .sent = try await bench.send(row) else { return #expect(Bool(false)) }
        #expect(await bench.sent() == [#"oc_1: {"text":"hi"}"#])
        await bench.simulator.stop()
    }

    @Test("F6: taken, but the answer never came, or came broken: sent again with the same uuid, it stands there once")
    func taken() async throws {
        let bench = Bench()
        try await bench.start()
        var hang = APIFault()
        (hang.isTaken, hang.delay) = (true, .seconds(4))
        var broken = APIFault(body: #"{"code":0,"da"#)
        broken.isTaken = true
        var half = APIFault(body: #"{"code":0,"msg":"success","data":{"message_id":"om_1"}}"#)
        (half.isTaken, half.isCutOff) = (true, true)
        await bench.simulator.failMessages([hang, broken, half])
        let row = bench.row("hi")
        #expect(isRetry(try await bench.send(row)))
        #expect(isRetry(try await bench.send(row)))
        #expect(isRetry(try await bench.send(row)))
        guard case .sent = try await bench.send(row) else { return #expect(Bool(false)) }
        #expect(await bench.sent() == [#"oc_1: {"text":"hi"}"#])
        await bench.simulator.stop()
    }

    @Test(
        "what only a newer version knows is left for it: nobody gets the wrong words",
        arguments: [("notice", "from_the_future"), ("from_the_future", "help")])
    func unknownNotice(kind: String, notice: String) async throws {
        let bench = Bench()
        try await bench.start()
        let row = OutboxRow(
            lease: Lease(installation: bench.installation, generation: 1), session: nil, id: UUID(), kind: kind,
            receiver: .chat("oc_1"), chatID: nil, payload: #"{"notice": "\#(notice)"}"#, attempts: 1, locale: "en",
            agent: "support")
        guard case .retry(_, let error) = try await bench.send(row) else { return #expect(Bool(false)) }
        #expect(error.contains("no words for the notice from_the_future: upgrade every replica"))
        #expect(await bench.sent().isEmpty)
        await bench.simulator.stop()
    }

    @Test("half of an answer is none: nothing is in the chat, it is tried again, and is there once")
    func halfAnAnswer() async throws {
        let bench = Bench()
        try await bench.start()
        var half = APIFault(body: #"{"code":0,"msg":"success","data":{"message_id":"om_1"}}"#)
        half.isCutOff = true
        await bench.simulator.failMessages([half])
        let row = bench.row("hi")
        guard case .retry(_, let error) = try await bench.send(row) else { return #expect(Bool(false)) }
        #expect(error.contains("no connection to 127.0.0.1"), "\(error)")
        #expect(await bench.sent().isEmpty)
        guard case .sent = try await bench.send(row) else { return #expect(Bool(false)) }
        #expect(await bench.sent() == [#"oc_1: {"text":"hi"}"#])
        await bench.simulator.stop()
    }

    @Test(
        "what the platform refuses for good ends the row, with the code and what to do",
        arguments: [
            (400, #"{"code":230002,"msg":"no bot"}"#, "code 230002 the bot is not in the chat: no bot"),
            (400, #"{"code":230006,"msg":"x"}"#, "code 230006 the bot ability is off: turn it on"),
            (400, #"{"code":230013,"msg":"x"}"#, "code 230013 this person is outside the app's availability"),
            (400, #"{"code":230018,"msg":"x"}"#, "code 230018 the bot may not speak in this chat"),
            (400, #"{"code":230028,"msg":"x"}"#, "code 230028 refused by the content check"),
            (403, #"{"code":99991672,"msg":"scope im:message:send"}"#, "the app lacks a permission: grant it"),
        ])
    func refused(status: Int, body: String, words: String) async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(status, body)])
        guard case .dead(let error, let told) = try await bench.send(bench.row("hi")) else {
            return #expect(Bool(false))
        }
        #expect(error.contains(words), "\(error)")
        #expect((told == nil) == !body.contains("230028"), "the chat is told where it is not closed")
        #expect(await bench.sent().isEmpty)
        await bench.simulator.stop()
    }

    @Test(
        "R4: a code that nobody knows is tried six times, then the row is given up, and the chat is told the code alone"
    )
    func unknownCode() async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages(Array(repeating: (404, #"{"code":404,"msg":"secret words"}"#), count: 6))
        for attempt in 1...5 {
            #expect(isRetry(try await bench.send(bench.row("hi", attempts: attempt)), atLeast: .milliseconds(500)))
        }
        let settlement = try await bench.send(bench.row("hi", attempts: 6))
        guard case .dead(let error, let told) = settlement else { return #expect(Bool(false)) }
        #expect(error.contains("code 404 secret words"))
        #expect(told == "the platform refused it with the code 404")
        await bench.simulator.stop()
    }

    @Test("R4: an app whose calls of the month are used up waits, and all of it")
    func quota() async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(400, #"{"code":99991403,"msg":"quota"}"#)])
        #expect(isRetry(try await bench.send(bench.row("hi")), atLeast: .seconds(60)))
        #expect(bench.pacer.held().installations == [bench.installation])
        await bench.simulator.stop()
    }

    @Test(
        "F14: a payload that can't be read is given up with its reason, never taken for sent",
        arguments: ["[]", #"{"text": 7}"#, String(repeating: "[", count: 3000) + String(repeating: "]", count: 3000)])
    func unreadable(payload: String) async throws {
        let bench = Bench()
        try await bench.start()
        let row = OutboxRow(
            lease: Lease(installation: bench.installation, generation: 1), session: nil, id: UUID(), kind: "reply",
            receiver: .chat("oc_1"), chatID: nil, payload: payload, attempts: 1, locale: "en", agent: "support")
        #expect(
            try await bench.send(row)
                == .dead(error: "what was to be sent can't be read", told: "what was to be sent can't be read"))
        #expect(await bench.sent().isEmpty)
        await bench.simulator.stop()
    }

    @Test("R5, K7: what answers a withdrawn message of a topic goes under the newest other one that can be answered")
    func otherMessageOfTopic() async throws {
        let fixture = try await Fixture()
        let messages = (1...4).map { Fixture.message("om_\($0)", chat: "oc_g", thread: "omt_1", type: .group) }
        var session: SessionKey?
        for message in messages { session = try await fixture.ingest(message)[0].session }
        let bench = Bench(repository: fixture.repository)
        try await bench.start()
        await bench.simulator.failMessages([
            (400, #"{"code":231003,"msg":"gone"}"#), (400, #"{"code":230011,"msg":"gone"}"#),
        ])
        func row(_ id: String) -> OutboxRow {
            bench.row("hi", to: .message(id, inThread: true), session: session)
        }
        guard case .sent = try await bench.send(row("om_4")) else { return #expect(Bool(false)) }
        #expect(await bench.sent() == [#"om_2: {"text":"hi"}"#])
        #expect(await bench.simulator.sentMessages.allSatisfy(\.inThread))
        // None is left: nothing leaks into the group.
        await bench.simulator.failMessages(Array(repeating: (400, #"{"code":231003,"msg":"gone"}"#), count: 4))
        guard case .dead(_, told: .some) = try await bench.send(row("om_4")) else { return #expect(Bool(false)) }
        #expect(await bench.sent().count == 1)
        await bench.simulator.stop()
    }

    @Test("S9: an answer mentions who took part in its conversation, and everybody only where its agent may")
    func mentions() async throws {
        let fixture = try await Fixture()
        let session = try #require(try await fixture.ingest(Fixture.message("om_1", type: .group))[0].session)
        // Of another conversation.
        try await fixture.ingest(Fixture.message("om_2", chat: "oc_2", sender: "ou_4"))
        let context = #"[{"sender": "ou_2", "from": "user"}, {"sender": "ou_3", "from": "bot"}]"#
        try await fixture.repository.put(context, of: session, at: 1, under: fixture.lease)
        let bench = Bench(repository: fixture.repository)
        try await bench.start()
        let text = (["all"] + (1...4).map { "ou_\($0)" }).map { "<at id=\($0)></at>" }.joined(separator: " ")
        func sent(_ text: String, session: SessionKey?) async throws -> String? {
            guard case .sent = try await bench.send(bench.row(text, session: session)) else { return nil }
            return await bench.sent().last
        }
        let known = #"<at user_id=\"ou_1\"></at> <at user_id=\"ou_2\"></at> @ou_3 @ou_4"#
        #expect(try await sent(text, session: session)?.contains("@all \(known)") == true)
        #expect(try await sent("**b** " + text, session: session)?.contains("**b** @all <at id=ou_1></at>") == true)
        #expect(try await sent(text, session: nil)?.contains("@all @ou_1 @ou_2") == true)
        let agents = [AgentSettings(workspace: "acme", name: "support", runtime: "default", mayMentionAll: true)]
        _ = try await fixture.repository.applyConfiguration(
            ConfiguredParts(agents: agents, installations: [], mayRevokeAll: true))
        #expect(try await sent(text, session: session)?.contains(#"<at user_id=\"all\"></at> \#(known)"#) == true)
        // A replica of the version before names no such thing, and changes nothing of it.
        try await fixture.pool.run(
            "SELECT gateway.apply_configuration($1, '[]')",
            [.jsonb(#"[{"workspace": "acme", "name": "support", "runtime": "default"}]"#)])
        #expect(try await fixture.repository.agents(limit: 10).rows.map(\.mayMentionAll) == [true])
        #expect(
            try await fixture.repository.override(
                .mayMentionAll(false), ofAgent: "support", in: "acme", by: "ada@vm"))
        #expect(try await sent(text, session: session)?.contains("@all \(known)") == true)
        await bench.simulator.stop()
        await fixture.pool.close()
    }

    @Test("an app that is too fast is held back as long as the platform says, and all of it")
    func tooFast() async throws {
        let bench = Bench()
        try await bench.start()
        var fault = APIFault(status: 429, body: #"{"code":99991400,"msg":"request trigger frequency limit"}"#)
        fault.headers = ["x-ogw-ratelimit-reset": "30"]
        await bench.simulator.failMessages([fault])
        #expect(isRetry(try await bench.send(bench.row("hi")), atLeast: .seconds(30)))
        #expect(bench.pacer.held().installations == [bench.installation])
        // Another chat of it does not even try: that is no attempt.
        guard case .returned(let wait, _) = try await bench.send(bench.row("ho", to: .chat("oc_2"))) else {
            return #expect(Bool(false))
        }
        #expect(wait >= .seconds(20))
        #expect(await bench.sent().isEmpty)
        await bench.simulator.stop()
    }

    @Test("F1: a token that expired or was revoked is renewed once; one that stays refused is tried again later")
    func tokens() async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(400, #"{"code":99991663,"msg":"token expired"}"#)])
        guard case .sent = try await bench.send(bench.row("hi")) else { return #expect(Bool(false)) }
        await bench.simulator.failMessages(Array(repeating: (401, #"{"code":99991664,"msg":"invalid"}"#), count: 2))
        #expect(isRetry(try await bench.send(bench.row("ho"))))
        #expect(await bench.sent() == [#"oc_1: {"text":"hi"}"#])
        await bench.simulator.stop()
    }

    @Test("a card that is refused is sent as text, once")
    func refusedCard() async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(400, #"{"code":230099,"msg":"card"}"#)])
        guard case .sent = try await bench.send(bench.row("**hi**")) else { return #expect(Bool(false)) }
        #expect(await bench.sent() == [#"oc_1: {"text":"**hi**"}"#])
        await bench.simulator.failMessages(Array(repeating: (400, #"{"code":230001,"msg":"content"}"#), count: 2))
        guard case .dead = try await bench.send(bench.row("**ho**")) else { return #expect(Bool(false)) }
        await bench.simulator.stop()
    }

    @Test(
        "F3: an answer to what is withdrawn goes to the chat; from a topic only where the platform says the group has none",
        arguments: [
            (231_003, false, true), (231_003, true, false), (230_011, false, true), (230_050, false, true),
            (230_111, false, true), (230_071, false, true),
            (230_011, true, false), (230_019, true, false), (230_071, true, true), (230_072, true, true),
        ])
    func withdrawn(code: Int, inThread: Bool, isInChat: Bool) async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(400, "{\"code\":\(code),\"msg\":\"gone\"}")])
        let settlement = try await bench.send(bench.row("hi", to: .message("om_1", inThread: inThread)))
        if case .dead = settlement { #expect(!isInChat) } else { #expect(isInChat) }
        #expect(await bench.sent() == (isInChat ? [#"oc_1: {"text":"hi"}"#] : []))
        await bench.simulator.stop()
    }

    @Test("F3: a time-out or a 5xx never moves a topic's answer to the chat")
    func noLeak() async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.failMessages([(500, #"{"code":230071,"msg":"x"}"#), (503, "")])
        let row = bench.row("hi", to: .message("om_1", inThread: true))
        #expect(isRetry(try await bench.send(row)))
        #expect(isRetry(try await bench.send(row)))
        #expect(await bench.sent().isEmpty)
        await bench.simulator.stop()
    }

    @Test("each part of a long reply has a uuid of its own: a failure in the middle doubles none of them")
    func parts() async throws {
        let bench = Bench()
        try await bench.start()
        let text = (0..<4).map { String(repeating: "word\($0) ", count: 20_000) }.joined(separator: "\n\n")
        let row = bench.row(text)
        let count = ReplyFormat.contents(text, mentioning: .nobody).count
        #expect(count >= 3)
        var late = APIFault(status: 500)
        late.isTaken = true
        await bench.simulator.failMessages([late])
        #expect(isRetry(try await bench.send(row)))
        guard case .sent = try await bench.send(row) else { return #expect(Bool(false)) }
        #expect(await bench.simulator.sentMessages.count == count)
        #expect(await Set(bench.simulator.sentMessages.map(\.uuid)).count == count)
        #expect(await bench.simulator.sentMessages.allSatisfy { $0.uuid.count <= 50 })
        await bench.simulator.stop()
    }

    @Test("an app whose platform does not answer is held back for a second, until one message is answered")
    func silent() async throws {
        let bench = Bench()
        try await bench.start()
        await bench.simulator.hang([.message])
        async let first = bench.send(bench.row("hi"))
        async let second = bench.send(bench.row("hi", to: .chat("oc_2")))
        let settlements = try await [first, second]
        #expect(settlements.allSatisfy { isRetry($0) })
        #expect(bench.pacer.isSilent(bench.installation))
        await bench.simulator.hang([])
        guard case .sent = try await bench.send(bench.row("ho")) else { return #expect(Bool(false)) }
        #expect(!bench.pacer.isSilent(bench.installation))
        #expect(bench.pacer.held().installations.isEmpty)
        await bench.simulator.stop()
    }

    @Test("nobody there, and a host that does not exist, are tried again")
    func unreachable() async throws {
        for domain in ["http://127.0.0.1:1", "http://no-such-host.invalid"] {
            let bench = Bench()
            try await bench.start(domain: domain)
            #expect(isRetry(try await bench.send(bench.row("hi"))))
            await bench.simulator.stop()
        }
    }
}
