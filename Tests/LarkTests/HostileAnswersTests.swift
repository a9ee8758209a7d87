import AsyncRuntime
import Curl
import Foundation
import TestSupport
import Testing

@testable import Lark

@Suite("Answers that no platform gives")
struct HostileAnswersTests {
    private static let depth = 100_000

    /// Deeper than anybody reads.
    private static let nested = [
        String(repeating: "[", count: depth) + String(repeating: "]", count: depth),
        String(repeating: #"{"a":"#, count: depth) + "1" + String(repeating: "}", count: depth),
        String(repeating: "[", count: depth), String(repeating: #"[{"a":"#, count: depth / 2),
    ]

    private static let numbers = [
        "9223372036854775807", "-9223372036854775808", "9223372036854775808", "9e18", "1e300", "-1e300", "0.5",
        "-0.0", #""9223372036854775807""#, #""1e300""#, "null", "[]", "18446744073709551616000",
    ]

    private static func answering(_ bodies: String...) throws -> RawServer {
        let left = Mutex(bodies)
        return try RawServer { peer in
            _ = peer.readHead()
            let body = left.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
            peer.write(
                Array("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8))
        }
    }

    private static func client(_ server: RawServer) throws -> OpenAPIClient {
        OpenAPIClient(
            domain: try #require(URL(string: "http://127.0.0.1:\(server.port)")), appID: "cli_1", appSecret: "s",
            http: HTTPExchange(timeout: .seconds(20)))
    }

    private static func origin() throws -> EndpointOrigin {
        EndpointOrigin(
            domain: try #require(URL(string: "https://127.0.0.1")), address: "127.0.0.1", isInsecureAllowed: false)
    }

    @Test("JSON that is nested 100,000 deep is none: as an event, as a message's content, as an answer, in a list")
    func nesting() async throws {
        let decoder = EventDecoder(appID: "cli_1", bot: BotIdentity(openID: "ou_bot", unionID: "on_bot"))
        for text in Self.nested {
            #expect(JSONValue(parsing: text) == nil)
            _ = decoder.decode(Array(text.utf8))
            #expect(throws: ConnectFailure.self) {
                try EndpointBootstrap.read(status: 200, body: Data(text.utf8), from: try Self.origin())
            }
            let server = try Self.answering(text)
            let error = await #expect(throws: OpenAPIError.self) { try await Self.client(server).checkCredentials() }
            #expect(error?.remedy == .retry(after: nil))
        }
        for content in Self.nested {
            let message: [String: Any] = [
                "message_id": "om_1", "chat_id": "oc_1", "chat_type": "p2p", "create_time": "1", "message_type": "post",
                "content": content,
            ]
            let sender: [String: Any] = ["sender_id": ["open_id": "ou_1"], "sender_type": "user"]
            let event = try JSONSerialization.data(withJSONObject: [
                "header": ["event_id": "e", "event_type": "im.message.receive_v1", "app_id": "cli_1"],
                "event": ["sender": sender, "message": message],
            ])
            guard case .message(let read) = decoder.decode(Array(event)) else {
                Issue.record("a message whose content can't be read is one all the same")
                continue
            }
            #expect(read.messageID == "om_1" && read.content.utf8.count < 1_000)
        }
    }

    @Test("a token's life, whatever number it is: the token is used, and the client goes on", arguments: numbers)
    func lifetimes(number: String) async throws {
        let token = #"{"code":0,"tenant_access_token":"t-1","expire":\#(number)}"#
        let server = try Self.answering(token, #"{"code":0,"data":{"message_id":"om_1"}}"#)
        let client = try Self.client(server)
        for uuid in ["u1", "u2"] {
            #expect(
                try await client.send(.text(MessageText("hi", mentioning: .nobody)), to: .chat("oc_1"), uuid: uuid)
                    == "om_1")
        }
    }

    @Test(
        "timings of the platform, whatever numbers they are: those that nobody can keep are left out",
        arguments: numbers)
    func timings(number: String) throws {
        let config = """
            {"PingInterval": \(number), "ReconnectInterval": \(number), "ReconnectNonce": \(number), "ReconnectCount": \(number)}
            """
        let endpoint = try EndpointBootstrap.read(
            status: 200,
            body: Data(
                #"{"code":0,"data":{"URL":"wss://127.0.0.1/ws?service_id=1","ClientConfig":\#(config)}}"#.utf8),
            from: try Self.origin())
        let day = Duration.seconds(86_400)
        #expect(endpoint.config.pingInterval >= .seconds(1) && endpoint.config.pingInterval <= day)
        #expect(endpoint.config.reconnectNonce >= .seconds(1) && endpoint.config.reconnectNonce <= day)
        #expect(endpoint.config.reconnectInterval.map { $0 >= .seconds(1) && $0 <= day } ?? true)

        var machine = LongConnectionMachine(serviceID: 1, config: endpoint.config, now: .zero)
        _ = machine.opened(now: .zero)
        let pong = Frame(
            service: 1, method: Frame.Method.control, headers: [Frame.Header(key: "type", value: "pong")],
            payload: Array(config.utf8))
        #expect(machine.received(pong.encoded(), now: .seconds(1)).isEmpty)
        #expect(machine.nextWakeUp <= day + .seconds(1))
        _ = machine.timePassed(now: day * 2)
    }
}
