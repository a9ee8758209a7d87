import Curl
import AsyncRuntime
import Foundation
import LarkSimulator
import TestSupport
import Testing

@testable import Lark

@Suite("The open API")
struct OpenAPITests {
    private static let app = SimulatedApp(id: "cli_1", secret: "s3cret")

    private func withClient(
        secret: String = app.secret, _ body: (OpenAPIClient, LarkSimulator) async throws -> Void
    ) async throws {
        let simulator = LarkSimulator(apps: [Self.app])
        try await simulator.start()
        let url = try #require(URL(string: await simulator.url))
        let client = OpenAPIClient(
            domain: url, appID: Self.app.id, appSecret: secret, http: HTTPExchange(timeout: .seconds(20)))
        try await body(client, simulator)
        await simulator.stop()
    }

    @Test("F6: the same uuid makes one message; chats, people and answers each have their call")
    func sending() async throws {
        try await withClient { client, simulator in
            let first = try await client.send(
                .text(MessageText("hi", mentioning: .nobody)), to: .chat("oc_1"), uuid: "u1")
            #expect(
                try await client.send(.text(MessageText("hi", mentioning: .nobody)), to: .chat("oc_1"), uuid: "u1")
                    == first)
            _ = try await client.send(
                .markdownCard(CardMarkdown("**b**", mentioning: .nobody)), to: .person(openID: "ou_1"), uuid: "u2")
            _ = try await client.send(
                .text(MessageText("re", mentioning: .nobody)), to: .message("om_1", inThread: true), uuid: "u3")
            let sent = await simulator.sentMessages
            #expect(sent.map(\.receiver) == ["oc_1", "ou_1", ""])
            #expect(sent.map(\.type) == ["text", "interactive", "text"])
            #expect(sent.last?.replyTo == "om_1" && sent.last?.inThread == true)
        }
    }

    @Test("F1: an expired token is renewed once, and the call repeated")
    func expiredToken() async throws {
        try await withClient { client, simulator in
            _ = try await client.send(.text(MessageText("a", mentioning: .nobody)), to: .chat("oc_1"), uuid: "u1")
            await simulator.expireTokens()
            _ = try await client.send(.text(MessageText("b", mentioning: .nobody)), to: .chat("oc_1"), uuid: "u2")
            #expect(await simulator.sentMessages.count == 2)
        }
    }

    @Test("F1: calls at the same time share one token request; a short life counts as 120 s")
    func oneRequest() async throws {
        let requests = Mutex(0)
        let time = Mutex(ContinuousClock.now)
        let tokens = TenantTokens(now: { time.withLock { $0 } }) {
            try await Task.sleep(for: .milliseconds(20))
            return requests.withLock {
                $0 += 1
                return TenantTokens.Token(value: "t\($0)", lifetime: .seconds(5))
            }
        }
        let values = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<10 { group.addTask { try await tokens.token() } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(values == ["t1"])
        time.withLock { $0 += .seconds(59) }
        #expect(try await tokens.token() == "t1")
        time.withLock { $0 += .seconds(2) }
        #expect(try await tokens.token() == "t2")
    }

    @Test("what was said in a group is waited for as long as asked and no longer, also while the app has no token")
    func boundedHistory() async throws {
        try await withClient { client, simulator in
            await simulator.hang([.token, .history])
            let isOver = AsyncEvent()
            let other = Task {
                defer { isOver.set() }
                try await client.checkCredentials()
            }
            #expect(await simulator.wait(until: .after(.seconds(10))) { $0.hungCalls[.token] == 1 })
            for _ in 0..<2 {
                await #expect(throws: DeadlineExceeded.self) {
                    try await client.messages(in: "oc", thread: "", until: nil, within: .milliseconds(50))
                }
            }
            // A second one would have been made by the second call, had the first call waited for its end.
            #expect(await simulator.hungCalls[.token] == 1)
            #expect(!isOver.isSet, "the request goes on for others")
            await simulator.stop()
            _ = await other.result
        }
    }

    @Test("a wrong secret needs a person, and is in no error")
    func wrongSecret() async throws {
        try await withClient(secret: "wr0ng") { client, _ in
            let error = await #expect(throws: OpenAPIError.self) { try await client.checkCredentials() }
            #expect(error?.remedy == .giveUp)
            #expect(error.map { !"\($0)".contains("wr0ng") } == true)
        }
    }

    @Test(
        "each failure says what to do",
        arguments: [
            (500, "oops", OpenAPIError.Remedy.retry(after: nil)), (200, "<html>", .retry(after: nil)),
            (200, #"{"code":230020,"msg":"too fast"}"#, .retry(after: nil)),
            (400, #"{"code":230002,"msg":"x"}"#, .giveUp),
            (400, #"{"code":230001,"msg":"x"}"#, .sendAsText),
            (400, #"{"code":230011}"#, .sendToChat(evenFromTopic: false)),
            (400, #"{"code":230071}"#, .sendToChat(evenFromTopic: true)), (503, #"{"code":7}"#, .retry(after: nil)),
        ])
    func remedies(status: Int, body: String, remedy: OpenAPIError.Remedy) async throws {
        try await withClient { client, simulator in
            await simulator.failMessages([(status, body)])
            let error = await #expect(throws: OpenAPIError.self) {
                try await client.send(.text(MessageText("x", mentioning: .nobody)), to: .chat("oc"), uuid: "u")
            }
            #expect(error?.remedy == remedy)
        }
    }

    /// A platform whose answers a test gives, by what stands in the request's first line.
    private func withPlatform(
        answers: [String: String], _ body: (OpenAPIClient, Recorder<String>) async throws -> Void
    ) async throws {
        let heads = Recorder<String>()
        let server = try RawServer { peer in
            let head = peer.readHead()
            heads.record(head)
            let line = head.prefix { $0 != "\r\n" }
            let answer = answers.first { line.contains($0.key) }?.value ?? #"{"code":0}"#
            peer.write(
                Array(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)".utf8
                ))
        }
        let url = try #require(URL(string: "http://127.0.0.1:\(server.port)"))
        try await body(OpenAPIClient(domain: url, appID: "a", appSecret: "b", http: HTTPExchange()), heads)
        withExtendedLifetime(server) {}
    }

    @Test(
        "a token that would become a header of its own is refused, and never sent",
        arguments: [#"t-1\r\nX-Injected: yes"#, #"t-1\nX-Injected: yes"#, #"t\u0000"#, #"t 1"#, "t\u{7F}"])
    func injectedHeader(_ token: String) async throws {
        let answers = ["/tenant_access_token/": #"{"code":0,"tenant_access_token":"\#(token)","expire":7200}"#]
        try await withPlatform(answers: answers) { client, heads in
            let error = await #expect(throws: OpenAPIError.self) { try await client.checkCredentials() }
            #expect(error?.message == "the token of the answer has characters that may not stand in a header")
            await #expect(throws: OpenAPIError.self) {
                try await client.send(.text(MessageText("x", mentioning: .nobody)), to: .chat("oc"), uuid: "u")
            }
            #expect(heads.all.allSatisfy { $0.hasPrefix("POST /open-apis/auth/") })
        }
    }

    @Test(
        "an id that would make another path is refused, for good, before a request is made",
        arguments: [
            "../../../im/v1/messages?x=1#", "..", "", "a/b", "a%2Fb", "a b", "ä", String(repeating: "a", count: 257),
        ])
    func injectedPath(_ id: String) async throws {
        let answers = [
            "/tenant_access_token/": #"{"code":0,"tenant_access_token":"t-1","expire":7200}"#,
            "/bot/v3/info": #"{"code":0,"bot":{"open_id":"\#(id.isEmpty ? ".." : id)"}}"#,
        ]
        try await withPlatform(answers: answers) { client, heads in
            _ = try await client.botIdentity()
            for call in [
                {
                    _ = try await client.send(
                        .text(MessageText("x", mentioning: .nobody)), to: .message(id, inThread: false), uuid: "u")
                },
                { _ = try await client.addReaction("Typing", to: id) },
                { try await client.removeReaction(id, from: "om_1") },
                { try await client.update(id, to: .markdownCard(CardMarkdown("x", mentioning: .nobody))) },
            ] as [() async throws -> Void] {
                let error = await #expect(throws: OpenAPIError.self) { try await call() }
                #expect(error?.remedy == .giveUp && error?.isUnanswered == false)
            }
            #expect(
                heads.all.map { String($0.prefix { $0 != "\r\n" }) } == [
                    "POST /open-apis/auth/v3/tenant_access_token/internal HTTP/1.1",
                    "GET /open-apis/bot/v3/info HTTP/1.1",
                ])
        }
    }

    @Test("an id with signs is encoded, and stays one part of the path")
    func encodedPath() async throws {
        let answers = ["/tenant_access_token/": #"{"code":0,"tenant_access_token":"t-1","expire":7200}"#]
        try await withPlatform(answers: answers) { client, heads in
            try await client.removeReaction("a.b=c*", from: "om_1")
            #expect(
                heads.all.last?.hasPrefix("DELETE /open-apis/im/v1/messages/om_1/reactions/a%2Eb%3Dc%2A HTTP/1.1")
                    == true)
        }
    }

    @Test("nobody there is a failure to be tried again")
    func unreachable() async throws {
        let client = OpenAPIClient(
            domain: try #require(URL(string: "http://127.0.0.1:1")), appID: "a", appSecret: "b", http: HTTPExchange())
        let error = await #expect(throws: OpenAPIError.self) { try await client.checkCredentials() }
        #expect(error?.remedy == .retry(after: nil))
    }
}
