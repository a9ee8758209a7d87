import AsyncRuntime
import CAllocationCount
import Curl
import Foundation
import Lark
import WebSocket

/// What connections cost: received messages, memory, CPU while idle, and the time from the socket to a decoded event.
/// All over the product's transport, to a peer in another process of the same machine.
struct ConnectionsBenchmark {
    let isQuick: Bool

    private var connections: Int { isQuick ? 200 : 1_000 }
    private var messages: Int { isQuick ? 64_000 : 640_000 }

    func run() async throws -> [Reading] {
        let folder = NSTemporaryDirectory() + "lgw-connections-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let plain = try await RunningPeer(folder: folder)
        var readings: [Reading] = []
        do {
            readings.append(try await throughput(1, plain.port))
            readings.append(try await throughput(connections, plain.port))
            readings += try await timeToDecoded(plain.port)
            let url = "ws://127.0.0.1:\(plain.port)/ws"
            let bare = try await memory(url)
            readings.append(Reading(.connections, "memory of one without TLS, of \(connections)", bare, "KiB"))
            readings.append(try await idle(url))
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
            let whole = try await memory("wss://localhost:\(secure.port)/ws", network: network)
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

    private func connect(_ port: Int, _ query: String) async throws -> any WebSocketConnection {
        guard let url = URL(string: "ws://127.0.0.1:\(port)/ws\(query)") else { throw BenchmarkError("no URL") }
        return try await CurlTransport().connect(
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

    /// From the peer's write to the decoded event: the kernel, the poller's wake-up, RFC 6455, Lark's frame, and the
    /// event.
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

    /// Long connections that wait for the platform, as the gateway holds them.
    private struct Idle {
        private var running: [Task<LongConnection.End, Never>] = []

        mutating func open(_ count: Int, _ url: String, network: NetworkSettings, pingEvery interval: Duration)
            async throws
        {
            guard let url = URL(string: url) else { throw BenchmarkError("no URL") }
            var config = ClientConfig()
            config.pingInterval = interval
            let endpoint = Endpoint(url: url, serviceID: 1, config: config)
            for _ in 0..<count {
                let connection = try await LongConnection.connect(
                    to: endpoint, transport: CurlTransport(network: network), receive: { _, _ in }, dropped: { _ in })
                running.append(Task { await connection.run() })
            }
            // The pongs of their first pings have come: they are at rest.
            try await Task.sleep(for: .seconds(2))
        }

        func close() async {
            for task in running { task.cancel() }
            for task in running { _ = await task.value }
        }
    }

    /// What malloc holds for an idle long connection, after the first ones have paid for what all share.
    private func memory(_ url: String, network: NetworkSettings = NetworkSettings()) async throws -> Double {
        var idle = Idle()
        try await idle.open(20, url, network: network, pingEvery: .seconds(120))
        let before = lgw_allocated_bytes()
        try await idle.open(connections, url, network: network, pingEvery: .seconds(120))
        let bytes = (Double(lgw_allocated_bytes()) - Double(before)) / Double(connections)
        await idle.close()
        return bytes / 1024
    }

    /// Nothing happens on them but pings, which come often here so that they can be measured.
    private func idle(_ url: String) async throws -> Reading {
        let seconds = isQuick ? 4 : 20
        var idle = Idle()
        try await idle.open(connections, url, network: NetworkSettings(), pingEvery: .seconds(1))
        let before = Self.cpuSeconds()
        try await Task.sleep(for: .seconds(seconds))
        let perPing = (Self.cpuSeconds() - before) / Double(seconds) / Double(connections)
        await idle.close()
        // At Lark's interval of 120 s.
        return Reading(.connections, "CPU of an idle one, 30 pings an hour", perPing * 30 * 1e3, "ms/hour")
    }

    static func cpuSeconds() -> Double {
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
