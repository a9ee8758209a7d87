import Lark

enum PartsFuzzing {
    private static let maxBytes = 4_096

    /// Five bytes a part: event, sum, index, seconds that pass before it, length of its payload.
    static func run(_ bytes: [UInt8]) {
        var parts = PartAssembler(maxBytes: maxBytes)
        var now = Duration.zero
        var given = 0
        for start in stride(from: 0, to: bytes.count - 4, by: 5) {
            let (event, sum, index, pause, length) = (
                bytes[start], bytes[start + 1], bytes[start + 2], bytes[start + 3], bytes[start + 4]
            )
            now += .seconds(Int(pause % 4))
            _ = parts.dropExpired(now: now)
            let payload = [UInt8](repeating: index, count: Int(length))
            given += payload.count
            let outcome = parts.add(
                payload, messageID: "\(event % 8)", sum: Int(Int8(bitPattern: sum)),
                index: Int(Int8(bitPattern: index)),
                now: now)
            if case .whole(let whole) = outcome {
                precondition(whole.count <= given, "more came out than went in")
                precondition(zip(whole, whole.dropFirst()).allSatisfy { $0 <= $1 }, "not in the order of the parts")
            }
            precondition((0...maxBytes).contains(parts.bytes), "over the bound")
        }
        _ = parts.dropExpired(now: now + .seconds(60))
        precondition(parts.bytes == 0 && parts.nextExpiry == nil, "something is kept for ever")
    }
}
