import CAllocationCount
import Lark

/// From frame bytes to InboundMessage, on one thread.
struct DecodeBenchmark {
    let events: Int

    func run() -> [Reading] {
        let frames = Load.frames(1_000, chats: 100, label: "decode").map(\.frame)
        let decoder = EventDecoder(appID: Rig.app.id, bot: BotIdentity(openID: Rig.app.botOpenID))
        func decode(_ bytes: [UInt8]) -> Bool {
            guard let frame = try? Frame(decoding: bytes), case .message = decoder.decode(frame.payload ?? []) else {
                return false
            }
            return true
        }
        for frame in frames { _ = decode(frame) }
        lgw_count_allocations(1)
        for frame in frames { _ = decode(frame) }
        let allocations = Double(lgw_allocations()) / Double(frames.count)
        lgw_count_allocations(0)
        let clock = ContinuousClock()
        var good = 0
        let took = clock.measure {
            for index in 0..<events where decode(frames[index % frames.count]) { good += 1 }
        }
        return [
            Reading(.decode, "frame of \(frames[0].count) bytes", Double(good) / took.seconds, "events/s"),
            Reading(.decode, "allocations", allocations, "per event"),
        ]
    }
}
