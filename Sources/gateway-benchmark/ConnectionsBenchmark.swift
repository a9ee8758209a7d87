import AsyncRuntime
import CAllocationCount
import Curl
import Foundation
import Lark
import WebSocket

/// What connections cost: received messages, memory, CPU while idle, and the time from the socket to a decoded event. All
/// over the product's transport, to a peer in another process of the same machine.
struct ConnectionsBenchmark {
    let isQuick: Bool

    private var connections: Int { isQuick ? 200 : 1_000 }
    private var messages: Int { isQuick ? 64_000 : 640_000 }

    func run() async throws -> [Reading] {
        let folder = "/tmp/lgw-connections-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let plain = try await RunningPeer(folder: folder)
        var readings: [Reading] = []
        do {
            readings.append(try await throughput(1, plain.port))
            readings.append(try await throughput(connections, plain.port))
            readings += try await timeToDecoded(plain.port)
            let bare = try await memory(plain.port, network: NetworkSettings(), scheme: "ws")
            readings.append(Reading(.connections, "memory of one without TLS, of \(connections)", bare, "KiB"))
            readings.append(try await idle(plain.port))
        } catch {
            await plain.stop()
            throw error
        }
        await plain.stop()
        let certificate = try await Self.certificate(in: folder)
        let secure = try await RunningPeer(folder: folder, certificate: certificate)
        var network = NetworkSettings()
        network.caFile = certificate.certificate
        do {
            let whole = try await memory(secure.port, network: network, scheme: "wss")
            let bare = readings.first { $0.case.hasPrefix("memory of one without") }?.value
            readings.append(
                Reading(.connections, "memory of one with TLS, to one without", whole, "KiB", reference: bare))
        } catch {
            await secure.stop()
            throw error
        }
        await secure.stop()
        return readings
    }

    private func connect(
        _ port: Int, _ query: String = "", network: NetworkSettings = NetworkSettings(), scheme: String = "ws"
    ) async throws -> any WebSocketConnection {
        let host = scheme == "ws" ? "127.0.0.1" : "localhost"
        guard let url = URL(string: "\(scheme)://\(host):\(port)/ws\(query)") else { throw BenchmarkError("no URL") }
        return try await CurlTransport(network: network).connect(
            to: url, options: WebSocketOptions(), deadline: .after(.seconds(30)))
    }

    /// Messages of a usual event's size, from all the connections together.
    private func throughput(_ count: Int, _ port: Int) async throws -> Reading {
        let each = messages / count / ConnectionPeer.batch * ConnectionPeer.batch
        var open: [any WebSocketConnection] = []
        for _ in 0..<count { open.append(try await connect(port, "?count=\(each)")) }
        // They have begun: what is in the sockets' buffers by now is a small part of the whole.
        let clock = ContinuousClock()
        let took = try await clock.measure {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for connection in open {
                    group.addTask {
                        var received = 0
                        while received < each { if case .message = try await connection.receive() { received += 1 } }
                    }
                }
                try await group.waitForAll()
            }
        }
        for connection in open { await connection.close(.normal, reason: "") }
        return Reading(
            .connections, "received on \(count)", Double(each * count) / took.seconds, "messages/s")
    }

    /// From the peer's write to the decoded event: the kernel, the poller's wake-up, RFC 6455, Lark's frame, and the event.
    private func timeToDecoded(_ port: Int) async throws -> [Reading] {
        let count = isQuick ? 1_000 : 5_000
        let connection = try await connect(port, "?count=\(count)&paused=1")
        let decoder = EventDecoder(appID: Rig.app.id, bot: BotIdentity(openID: Rig.app.botOpenID))
        var times: [Duration] = []
        while times.count < count {
            guard case .message(.binary(let bytes)) = try await connection.receive(),
                let frame = try? Frame(decoding: bytes), case .message = decoder.decode(frame.payload ?? []),
                let written = frame.header("written_at").flatMap({ UInt64($0) })
            else { throw BenchmarkError("connections: an event that does not decode") }
            times.append(.nanoseconds(Int64(ConnectionPeer.nanoseconds() - written)))
        }
        await connection.close(.normal, reason: "")
        let percentiles = Percentiles(times)
        return [
            Reading(.connections, "written by the peer to decoded, p50", percentiles.at(0.5) * 1e3, "us"),
            Reading(.connections, "written by the peer to decoded, p99", percentiles.at(0.99) * 1e3, "us"),
        ]
    }

    /// What malloc holds for one idle connection, after the first ones have paid for what all share.
    private func memory(_ port: Int, network: NetworkSettings, scheme: String) async throws -> Double {
        var open: [any WebSocketConnection] = []
        for _ in 0..<20 { open.append(try await connect(port, network: network, scheme: scheme)) }
        let before = lgw_allocated_bytes()
        for _ in 0..<connections { open.append(try await connect(port, network: network, scheme: scheme)) }
        let bytes = (Double(lgw_allocated_bytes()) - Double(before)) / Double(connections)
        for connection in open { await connection.close(.normal, reason: "") }
        return bytes / 1024
    }

    /// Long connections on which nothing happens but pings, which come often here so that they can be measured.
    private func idle(_ port: Int) async throws -> Reading {
        var config = ClientConfig()
        config.pingInterval = .seconds(1)
        let seconds = isQuick ? 4 : 20
        guard let url = URL(string: "ws://127.0.0.1:\(port)/ws") else { throw BenchmarkError("no URL") }
        let endpoint = Endpoint(url: url, serviceID: 1, config: config)
        var open: [LongConnection] = []
        for _ in 0..<connections {
            open.append(
                try await LongConnection.connect(
                    to: endpoint, transport: CurlTransport(), receive: { _, _ in }, dropped: { _ in }))
        }
        let running = open.map { connection in Task { await connection.run() } }
        try await Task.sleep(for: .seconds(2))
        let before = Self.cpuSeconds()
        try await Task.sleep(for: .seconds(seconds))
        let perPing = (Self.cpuSeconds() - before) / Double(seconds) / Double(connections)
        for task in running { task.cancel() }
        for task in running { _ = await task.value }
        // At Lark's interval of 120 s.
        return Reading(.connections, "CPU of an idle one, 30 pings an hour", perPing * 30 * 1e3, "ms/hour")
    }

    private static func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    private static func certificate(in folder: String) async throws -> (certificate: String, key: String) {
        let (certificate, key) = (folder + "/server.pem", folder + "/server.key")
        let result = try await ChildProcess.run(
            "/usr/bin/openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            ], deadline: .after(.seconds(30)))
        guard result.status == 0 else { throw BenchmarkError("openssl can't make a certificate") }
        return (certificate, key)
    }
}
