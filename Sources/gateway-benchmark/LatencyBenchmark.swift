/// Time from frame to ack under a steady load, whatever the gateway does with it.
struct LatencyBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    func run() async throws -> [Reading] {
        var results: [Reading] = []
        for rate in [100, 1_000] {
            let rig = try await Rig(url: try await server.makeDatabase("latency"))
            _ = try await rig.saturate(Load.frames(2_000, chats: 100, label: "warm").map(\.frame), window: 100)
            let frames = Load.frames(rate * (isQuick ? 3 : 20), chats: 100, label: "paced")
            let took = Percentiles(try await rig.pace(frames, perSecond: rate))
            await rig.end()
            for (name, value) in [("p50", took.at(0.5)), ("p99", took.at(0.99)), ("max", took.maximum)] {
                results.append(Reading(.latency, "\(rate) messages/s, \(name)", value, "ms"))
            }
        }
        return results
    }
}
