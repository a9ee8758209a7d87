import Foundation
import Testing
import WebSocket

@testable import Lark

@Suite("The rules of a long connection")
struct LongConnectionMachineTests {
    private func machine(ping: Int = 120) -> LongConnectionMachine {
        var config = ClientConfig()
        config.pingInterval = .seconds(ping)
        return LongConnectionMachine(serviceID: 7, config: config, now: .zero)
    }

    private func control(_ type: String, payload: String? = nil) -> [UInt8] {
        Frame(
            service: 7, method: 0, headers: [Frame.Header(key: "type", value: type)],
            payload: payload.map { Array($0.utf8) }
        ).encoded()
    }

    private func pings(_ actions: [LongConnectionMachine.Action]) -> Int {
        actions.filter { if case .send(let frame) = $0 { frame.header("type") == "ping" } else { false } }.count
    }

    @Test("D2: a ping at once, then every interval; a pong's interval counts at once")
    func pinging() {
        var machine = machine()
        #expect(pings(machine.opened(now: .zero)) == 1)
        #expect(machine.received(control("pong"), now: .seconds(1)) == [])
        #expect(machine.nextWakeUp == .seconds(120))
        #expect(pings(machine.timePassed(now: .seconds(119))) == 0)
        #expect(pings(machine.timePassed(now: .seconds(120))) == 1)
        #expect(machine.received(control("pong", payload: #"{"PingInterval": 10}"#), now: .seconds(121)) == [])
        #expect(machine.nextWakeUp == .seconds(130))
        #expect(machine.received(control("pong", payload: #"{"PingInterval": 0}"#), now: .seconds(122)) == [])
        #expect(machine.nextWakeUp == .seconds(130), "zero keeps what was there")
    }

    @Test("D3: nothing at all for 30 s after a ping ends the connection; anything keeps it")
    func silence() {
        var machine = machine()
        _ = machine.opened(now: .zero)
        #expect(machine.nextWakeUp == .seconds(30))
        #expect(machine.timePassed(now: .seconds(29)) == [])
        #expect(machine.timePassed(now: .seconds(30)) == [.endSilent(after: .seconds(30))])
        var lively = self.machine()
        _ = lively.opened(now: .zero)
        lively.received(now: .seconds(29))
        #expect(lively.timePassed(now: .seconds(31)) == [])
    }

    @Test("D2, D3: a server that asks for a ping every 2 s does not put off the end of a silent connection")
    func silenceUnderPings() {
        var machine = machine()
        _ = machine.opened(now: .zero)
        let config = Frame(
            service: 1, method: Frame.Method.control, headers: [Frame.Header(key: "type", value: "pong")],
            payload: Array(#"{"PingInterval":2}"#.utf8))
        _ = machine.received(config.encoded(), now: .milliseconds(500))
        for second in stride(from: 2, to: 32, by: 2) {
            let actions = machine.timePassed(now: .seconds(second))
            #expect(actions.count == 1, "a ping at \(second) s")
        }
        #expect(machine.timePassed(now: .seconds(32)) == [.endSilent(after: .milliseconds(31_500))])
    }

    @Test("a server's ping is answered")
    func serverPing() {
        var machine = machine()
        guard case .send(let frame)? = machine.received(control("ping"), now: .zero).first else {
            return #expect(Bool(false))
        }
        #expect(frame.header("type") == "pong")
    }

    @Test("D7: garbage, text and unknown methods are dropped, each with one action")
    func garbage() {
        var machine = machine()
        #expect(machine.received([0xFF], now: .zero) == [.drop(.notAFrame(.truncated, bytes: 1))])
        #expect(machine.receivedText(bytes: 5, now: .zero) == [.drop(.textMessage(bytes: 5))])
        #expect(machine.received(Frame(service: 1, method: 9).encoded(), now: .zero) == [.drop(.unknownMethod(9))])
    }

    @Test("a data frame is delivered whole, its parts together by the frame that completed them")
    func delivery() {
        var machine = machine()
        func part(_ index: Int, of sum: Int, _ payload: [UInt8]) -> Frame {
            let headers = [("type", "event"), ("message_id", "m"), ("sum", "\(sum)"), ("seq", "\(index)")]
            return Frame(
                service: 7, method: 1, headers: headers.map { Frame.Header(key: $0.0, value: $0.1) }, payload: payload)
        }
        let single = part(0, of: 1, [1])
        #expect(machine.received(single.encoded(), now: .zero) == [.deliver(Delivery(frame: single, payload: [1]))])
        let last = part(0, of: 2, [1])
        #expect(machine.received(part(1, of: 2, [2]).encoded(), now: .zero) == [])
        #expect(machine.received(last.encoded(), now: .zero) == [.deliver(Delivery(frame: last, payload: [1, 2]))])
        _ = machine.received(part(1, of: 2, [2]).encoded(), now: .seconds(1))
        #expect(machine.timePassed(now: .seconds(6)).contains(.drop(.expiredParts(events: 1))))
    }
}

@Suite("The end of a long connection")
struct LongConnectionEndTests {
    @Test("D4: 1000 and 1001 are normal, every other end is a failure, and a cancellation is our own stop")
    func ends() {
        func word(_ error: any Error) -> String {
            switch LongConnection.end(error) {
            case .normal: "normal"
            case .failed: "failed"
            case .stopped: "stopped"
            }
        }
        #expect(word(WebSocketError.closed(.normal, reason: "")) == "normal")
        #expect(word(WebSocketError.closed(.goingAway, reason: "x")) == "normal")
        #expect(word(WebSocketError.closed(.protocolError, reason: "")) == "failed")
        #expect(word(WebSocketError.lost("reset")) == "failed")
        #expect(word(CancellationError()) == "stopped")
    }
}

@Suite("The bootstrap's answers")
struct EndpointTests {
    private func read(_ status: Int, _ body: String) throws(ConnectFailure) -> Endpoint {
        try EndpointBootstrap.read(status: status, body: Data(body.utf8), from: try origin("https://h"))
    }

    private func origin(
        _ domain: String, address: String? = nil, isInsecureAllowed: Bool = false
    ) throws(ConnectFailure) -> EndpointOrigin {
        guard let domain = URL(string: domain) else { throw .retryable(reason: "no URL") }
        return EndpointOrigin(domain: domain, address: address, isInsecureAllowed: isInsecureAllowed)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let domain: String
        var address: String?
        let endpoint: String
        var isInsecureAllowed = false
        let isTaken: Bool

        var testDescription: String { "\(domain) (\(address ?? "-")) \(endpoint) \(isInsecureAllowed)" }
    }

    @Test(
        "S11: what a domain's bootstrap may name",
        arguments: [
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "wss://e", isTaken: true),
            // After https nothing goes in clear, whatever is allowed.
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "ws://e", isTaken: false),
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "ws://e", isInsecureAllowed: true, isTaken: false),
            Case(domain: "https://127.0.0.1", address: "127.0.0.1", endpoint: "ws://127.0.0.1", isTaken: false),
            // A public domain names public endpoints.
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "wss://127.0.0.1", isTaken: false),
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "wss://localhost", isTaken: false),
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "wss://169.254.169.254", isTaken: false),
            Case(domain: "https://h", address: "1.1.1.1", endpoint: "wss://[fd00::1]", isTaken: false),
            Case(
                domain: "https://h", address: "1.1.1.1", endpoint: "wss://10.0.0.1", isInsecureAllowed: true,
                isTaken: true),
            // Behind a proxy its name alone is known.
            Case(domain: "https://h", endpoint: "wss://10.0.0.1", isTaken: false),
            Case(domain: "https://localhost", endpoint: "wss://127.0.0.1", isTaken: true),
            // A private one names what it likes.
            Case(domain: "https://h", address: "10.0.0.2", endpoint: "wss://10.0.0.1", isTaken: true),
            Case(domain: "https://h", address: "127.0.0.1", endpoint: "wss://localhost", isTaken: true),
            // In clear on this machine alone.
            Case(domain: "http://127.0.0.1", address: "127.0.0.1", endpoint: "ws://127.0.0.1", isTaken: true),
            Case(domain: "http://127.0.0.1", address: "127.0.0.1", endpoint: "ws://h", isTaken: false),
            Case(domain: "http://127.0.0.1", address: "127.0.0.1", endpoint: "wss://h", isTaken: false),
            Case(domain: "http://127.0.0.1", address: "127.0.0.1", endpoint: "ws://10.0.0.1", isTaken: false),
            Case(domain: "http://h", address: "10.0.0.2", endpoint: "ws://e", isInsecureAllowed: true, isTaken: true),
        ])
    func origins(_ sample: Case) throws {
        let origin = try origin(
            sample.domain, address: sample.address, isInsecureAllowed: sample.isInsecureAllowed)
        let body = Data(#"{"code":0,"data":{"URL":"\#(sample.endpoint)/p?service_id=1"}}"#.utf8)
        do {
            let endpoint = try EndpointBootstrap.read(status: 200, body: body, from: origin)
            #expect(sample.isTaken)
            // Then the address that a name has is looked at when it is connected to.
            #expect(endpoint.mustBePublic == origin.isPublic)
        } catch {
            #expect(!sample.isTaken)
            guard case .unsafe = error else { return #expect(Bool(false), "\(error)") }
        }
    }

    @Test("S11: a domain is one of the internet by the address that answered, else by its name")
    func publicDomains() throws {
        #expect(try origin("https://h", address: "1.1.1.1").isPublic)
        #expect(try origin("https://h").isPublic)
        #expect(try !origin("https://h", address: "10.0.0.1").isPublic)
        #expect(try !origin("https://10.0.0.1").isPublic)
        #expect(try !origin("https://h", address: "1.1.1.1", isInsecureAllowed: true).isPublic)
    }

    @Test("a good one gives URL, service id and timing")
    func good() throws {
        let endpoint = try read(
            200,
            #"{"code":0,"data":{"URL":"wss://h/p?a=1&service_id=33","ClientConfig":{"PingInterval":90}}}"#)
        #expect(endpoint.serviceID == 33)
        #expect(endpoint.config.pingInterval == .seconds(90))
        #expect(endpoint.url.host == "h")
    }

    @Test(
        "refusals need a person", arguments: [403, 514, 1_000_040_350, 99])
    func refused(code: Int) {
        #expect {
            try read(200, #"{"code":\#(code),"msg":"no"}"#)
        } throws: { error in
            if case .refused(code, _)? = error as? ConnectFailure { true } else { false }
        }
    }

    @Test(
        "the rest is tried again",
        arguments: [
            (502, "<html>"), (200, "[]"), (200, #"{"code":1,"msg":"busy"}"#), (200, #"{"code":1000040343}"#),
            (500, #"{"code":0,"data":{"URL":"wss://h/?service_id=1"}}"#), (200, #"{"code":0,"data":{}}"#),
            (200, #"{"code":0,"data":{"URL":"wss://h/p"}}"#),
            (200, #"{"code":0,"data":{"URL":"https://h/?service_id=1"}}"#),
        ])
    func retryable(status: Int, body: String) {
        #expect {
            try read(status, body)
        } throws: { error in
            if case .retryable? = error as? ConnectFailure { true } else { false }
        }
    }

    @Test("a refused upgrade is read by its headers")
    func handshake() {
        func failure(_ headers: [String: String]) -> ConnectFailure {
            LongConnection.failure(HandshakeError(status: 400, headers: headers, reason: "HTTP 400"))
        }
        guard case .refused(403, _) = failure(["handshake-status": "403"]),
            case .refused(1_000_040_350, _) = failure([
                "handshake-status": "514", "handshake-autherrcode": "1000040350",
            ]), case .retryable = failure(["handshake-status": "514"]), case .retryable = failure([:])
        else { return #expect(Bool(false)) }
    }
}
