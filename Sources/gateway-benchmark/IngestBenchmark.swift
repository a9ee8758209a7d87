import AsyncRuntime
import Postgres

/// Messages per second from frame bytes to ack, against seven statements per message on the same server.
struct IngestBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    func run() async throws -> [Reading] {
        var results: [Reading] = []
        for (chats, messages, reference) in [(1, 20_000, 2_000), (100, 60_000, 8_000), (10_000, 60_000, 8_000)] {
            let scale = isQuick ? 8 : 1
            let ours = try await ours(chats: chats, messages: messages / scale)
            let theirs = try await theirs(chats: chats, messages: reference / scale)
            let name = chats == 1 ? "1 chat" : "\(chats) chats"
            results.append(Reading(.ingest, name, ours, "messages/s", reference: theirs))
        }
        let single = try await singleMessage(count: isQuick ? 200 : 1_000)
        results.append(
            Reading(
                .ingest, "single message on an idle gateway, p50", single.ours, "ms",
                reference: single.theirs))
        return results
    }

    private func ours(chats: Int, messages: Int) async throws -> Double {
        let rig = try await Rig(url: try await server.makeDatabase("ingest"))
        // Every chat exists, as with the reference.
        _ = try await rig.saturate(Load.frames(chats, chats: chats, label: "warm").map(\.frame), window: 5_000)
        let frames = Load.frames(messages, chats: chats, label: "ingest").map(\.frame)
        let took = try await rig.saturate(frames, window: 5_000)
        await rig.end()
        return Double(messages) / took.seconds
    }

    private func theirs(chats: Int, messages: Int) async throws -> Double {
        let reference = try await ReferenceIngest(url: try await server.makeDatabase("reference"), chats: chats)
        let frames = Load.frames(messages, chats: chats, label: "reference").map(\.frame)
        let took = try await reference.saturate(frames)
        await reference.end()
        return Double(messages) / took.seconds
    }

    /// One message at a time, the next one when the last is acked.
    private func singleMessage(count: Int) async throws -> (ours: Double, theirs: Double) {
        let rig = try await Rig(url: try await server.makeDatabase("ingest"))
        let reference = try await ReferenceIngest(url: try await server.makeDatabase("reference"), chats: 1)
        var ours: [Duration] = []
        var theirs: [Duration] = []
        let clock = ContinuousClock()
        let first = Load.frames(count + 50, chats: 1, label: "ours")
        let second = Load.frames(count + 50, chats: 1, label: "theirs")
        // In turns, so that both see the same machine.
        for index in 0..<(count + 50) {
            let took = try await rig.saturate([first[index].frame], window: 1)
            let began = clock.now
            try await reference.store(second[index].frame)
            guard index >= 50 else { continue }
            ours.append(took)
            theirs.append(began.duration(to: clock.now))
        }
        await rig.end()
        await reference.end()
        return (Percentiles(ours).at(0.5), Percentiles(theirs).at(0.5))
    }
}
