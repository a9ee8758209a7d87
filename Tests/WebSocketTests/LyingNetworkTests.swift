import AsyncRuntime
import Curl
import Foundation
import HTTPServer
import TestSupport
import Testing

@testable import WebSocket

@Suite("Networks and peers that lie")
struct LyingNetworkTests {
    private func connect(
        _ url: URL, within limit: Duration = .seconds(60), network: NetworkSettings = NetworkSettings()
    ) async throws -> any WebSocketConnection {
        try await CurlTransport(network: network).connect(to: url, options: WebSocketOptions(), deadline: .after(limit))
    }

    @Test(
        "a peer that accepts and never answers costs the handshake's time-out, over ws and wss",
        arguments: ["ws", "wss"])
    func silentAccept(scheme: String) async throws {
        let server = try RawServer { peer in while !peer.read().isEmpty {} }
        await #expect(throws: DeadlineExceeded.self) {
            try await connect(WebSocketPeer.url(server.port, scheme: scheme), within: .milliseconds(300))
        }
    }

    @Test("a listener whose queue is full, as behind a firewall that drops, costs no more")
    func droppedSYN() async throws {
        let server = try RawServer(backlog: 0, accepts: false)
        let fillers = try Fillers(port: server.port)
        await #expect(throws: DeadlineExceeded.self) {
            try await connect(WebSocketPeer.url(server.port), within: .milliseconds(500))
        }
        withExtendedLifetime(fillers) {}
    }

    @Test("a handshake that trickles in, a byte at a time, is good; one that does not end in time is not")
    func slowHandshake() async throws {
        let server = try RawServer { peer in
            let head = peer.readHead()
            let isEndless = head.contains("/endless")
            for byte in WebSocketPeer.upgradeAnswer(to: head) {
                guard peer.write([byte]) else { return }
                if isEndless { usleep(20_000) }
            }
            for byte in WebSocketPeer.frame(.text, Array("hi".utf8)) { peer.write([byte]) }
            while !peer.read().isEmpty {}
        }
        let connection = try await connect(WebSocketPeer.url(server.port))
        #expect(try await connection.receive() == .message(.text("hi")))
        await connection.close(.normal, reason: "")
        await #expect(throws: DeadlineExceeded.self) {
            try await connect(
                try #require(URL(string: "ws://127.0.0.1:\(server.port)/endless")), within: .milliseconds(500))
        }
    }

    @Test("a head without an end is refused before it fills the memory")
    func endlessHead() async throws {
        let server = try RawServer { peer in
            _ = peer.readHead()
            peer.write(Array("HTTP/1.1 101 Switching Protocols\r\n".utf8))
            while peer.write(Array("X-Filler: \(String(repeating: "x", count: 1_000))\r\n".utf8)) {}
        }
        let error = await #expect(throws: HandshakeError.self) { try await connect(WebSocketPeer.url(server.port)) }
        #expect(error?.reason.contains("no end of the headers") == true)
    }

    @Test("a name without an address is said with the name")
    func unknownName() async throws {
        let error = await #expect(throws: WebSocketError.self) {
            try await connect(try #require(URL(string: "wss://no-such-host.invalid/")))
        }
        guard case .unreachable(let failure) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(failure.cause == .nameResolution)
        #expect(failure.host == "no-such-host.invalid")
    }

    @Test("IPv6 stands first and is broken, refused or silent: IPv4 serves", arguments: [false, true])
    func brokenIPv6(isSilent: Bool) async throws {
        let server = try WebSocketPeer.serve(WebSocketPeer.echo)
        // The same port of ::1: nobody, or a listener that never takes anybody.
        let silent = isSilent ? try SilentIPv6(port: server.port) : nil
        var network = NetworkSettings()
        network.addresses = ["two.example:\(server.port):[::1],127.0.0.1"]
        network.isInsecureAllowed = true
        let connection = try await connect(
            WebSocketPeer.url(server.port, host: "two.example"), within: .seconds(10), network: network)
        try await connection.send(.binary([1]))
        #expect(try await connection.receive() == .message(.binary([1])))
        await connection.close(.normal, reason: "")
        await server.stop()
        withExtendedLifetime(silent) {}
    }

    /// A good peer at another address of loopback, on the port of one that accepts and is silent.
    private func goodPeer(address: UInt32, port: Int) throws -> RawServer {
        try RawServer(address: address, port: port) { peer in
            peer.write(WebSocketPeer.upgradeAnswer(to: peer.readHead()))
            while !peer.read().isEmpty {}
        }
    }

    @Test(
        "R6: of a name's addresses the first accepts and is silent: it is named, and the next attempt begins with another",
        arguments: [("ws", "the WebSocket handshake with"), ("wss", "reaching")])
    func silentAddress(scheme: String, words: String) async throws {
        let silent = try RawServer { peer in while !peer.read().isEmpty {} }
        let good = try goodPeer(address: 0x7F00_0002, port: silent.port)
        var network = NetworkSettings()
        network.addresses = ["two.example:\(silent.port):127.0.0.1,127.0.0.2"]
        network.isInsecureAllowed = true
        let transport = CurlTransport(network: network)
        let url = try WebSocketPeer.url(silent.port, scheme: scheme, host: "two.example")
        func attempt(_ limit: Duration) async throws -> any WebSocketConnection {
            try await transport.connect(to: url, options: WebSocketOptions(), deadline: .after(limit))
        }
        let error = await #expect(throws: DeadlineExceeded.self) { try await attempt(.milliseconds(300)) }
        #expect(error?.description == "\(words) two.example (127.0.0.1): no answer in time")
        guard scheme == "ws" else {
            // Nor does the second one speak TLS; then the first one's turn has come again.
            for address in ["127.0.0.2", "127.0.0.1"] {
                let next = await #expect(throws: DeadlineExceeded.self) { try await attempt(.milliseconds(300)) }
                #expect(next?.operation == "reaching two.example (\(address))")
            }
            return withExtendedLifetime(good) {}
        }
        for _ in 0..<2 { await (try attempt(.seconds(20))).close(.normal, reason: "") }
        withExtendedLifetime(good) {}
    }

    @Test("R6: an address that hangs up in the handshake, or has only one, is tried again in its turn")
    func hangUp() async throws {
        let connections = Recorder<Int>()
        let rude = try RawServer { peer in
            connections.record(1)
            _ = peer.readHead()
        }
        var network = NetworkSettings()
        network.addresses = ["one.example:\(rude.port):127.0.0.1"]
        network.isInsecureAllowed = true
        let transport = CurlTransport(network: network)
        let url = try WebSocketPeer.url(rude.port, host: "one.example")
        for _ in 0..<3 {
            let error = await #expect(throws: WebSocketError.self) {
                try await transport.connect(to: url, options: WebSocketOptions(), deadline: .after(.seconds(20)))
            }
            #expect("\(String(describing: error))".contains("one.example (127.0.0.1) hung up during the handshake"))
        }
        #expect(connections.all.count == 3)
    }

    @Test("messages in many tiny pieces arrive whole")
    func tinyPieces() async throws {
        let payloads = (0..<50).map { [UInt8](repeating: UInt8($0), count: $0 * 7) }
        let server = try RawServer { peer in
            peer.write(WebSocketPeer.upgradeAnswer(to: peer.readHead()))
            for payload in payloads {
                for byte in WebSocketPeer.frame(.binary, payload) { peer.write([byte]) }
            }
            while !peer.read().isEmpty {}
        }
        let connection = try await connect(WebSocketPeer.url(server.port))
        for payload in payloads { #expect(try await connection.receive() == .message(.binary(payload))) }
        await connection.close(.normal, reason: "")
    }

    @Test("pings under load are each answered, in order, while messages go both ways")
    func pingsUnderLoad() async throws {
        let count = 2_000
        let pongs = Recorder<[UInt8]>()
        let allPongs = AsyncEvent()
        let server = try WebSocketPeer.serve { socket in
            let writer = Task {
                for index in 0..<count {
                    let number = [UInt8(index >> 8), UInt8(index & 0xFF)]
                    let frames = WebSocketPeer.frame(.binary, number) + WebSocketPeer.frame(.ping, number)
                    guard await socket.write(frames) else { return }
                }
            }
            var machine = WebSocketProtocol(role: .server)
            while true {
                let bytes = await socket.read()
                guard !bytes.isEmpty else { break }
                for case .pong(let payload) in machine.receive(bytes) { pongs.record(payload) }
                if pongs.all.count == count { allPongs.set() }
            }
            await writer.value
            socket.close()
        }
        let connection = try await connect(WebSocketPeer.url(server.port))
        var messages: [[UInt8]] = []
        while messages.count < count {
            guard case .message(.binary(let bytes)) = try await connection.receive() else { continue }
            messages.append(bytes)
            try await connection.send(.binary([UInt8](repeating: 1, count: 500)))
        }
        let expected = (0..<count).map { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        #expect(messages == expected)
        // The last ping stands behind the last message.
        let reader = Task { while (try? await connection.receive()) != nil {} }
        try await withDeadline(.after(.seconds(60)), operation: "the last pongs") { await allPongs.wait() }
        #expect(pongs.all == expected)
        await connection.close(.normal, reason: "")
        reader.cancel()
        await server.stop()
    }

    @Test("a reset, and an end in the middle of a frame, are a lost connection")
    func brokenOff() async throws {
        for isReset in [true, false] {
            let server = try RawServer { peer in
                peer.write(WebSocketPeer.upgradeAnswer(to: peer.readHead()))
                peer.write(Array(WebSocketPeer.frame(.binary, [UInt8](repeating: 1, count: 1_000)).prefix(500)))
                if isReset { peer.resetOnClose() }
            }
            let connection = try await connect(WebSocketPeer.url(server.port))
            let error = await #expect(throws: WebSocketError.self) { try await connection.receive() }
            guard case .lost = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            await connection.close(.normal, reason: "")
        }
    }
}

/// Connections that fill the queue of a listener that accepts nobody.
private final class Fillers: Sendable {
    private let descriptors: [Int32]

    init(port: Int, isIPv6: Bool = false) throws {
        descriptors = (0..<4).map { _ in
            let descriptor = socket(
                isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            if isIPv6 {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = in_port_t(port).bigEndian
                address.sin6_addr = in6addr_loopback
                withUnsafePointer(to: &address) { pointer in
                    _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                    }
                }
            } else {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = in_port_t(port).bigEndian
                address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
                withUnsafePointer(to: &address) { pointer in
                    _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
            }
            return descriptor
        }
        // Nothing tells that a SYN was not answered: the queue is full once the kernel has seen these.
        usleep(50_000)
    }

    deinit {
        for descriptor in descriptors { close(descriptor) }
    }
}

/// A listener on ::1 that takes nobody: what is sent there gets no answer.
private final class SilentIPv6: Sendable {
    private let server: RawServer
    private let fillers: Fillers

    init(port: Int) throws {
        server = try RawServer(isIPv6: true, port: port, backlog: 0, accepts: false)
        fillers = try Fillers(port: port, isIPv6: true)
    }
}
