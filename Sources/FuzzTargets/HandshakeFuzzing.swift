import WebSocket

enum HandshakeFuzzing {
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="

    /// The first byte says how the rest is cut.
    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let answer = Array(bytes.dropFirst())
        let step = Int(first) + 1
        let whole = outcome(answer, step: max(1, answer.count))
        let cut = outcome(answer, step: step)
        // Where no end comes, what was read when it was given up depends on the pieces.
        guard answer.count <= 16 << 10 else { return }
        precondition(whole == cut, "another meaning in pieces of \(step)")
    }

    private enum Outcome: Equatable {
        case waits
        case open(rest: [UInt8])
        case refused(status: Int, headers: [String: String], reason: String)
    }

    private static func outcome(_ answer: [UInt8], step: Int) -> Outcome {
        var parser = Handshake.ResponseParser(key: key)
        for start in stride(from: 0, to: answer.count, by: step) {
            let end = min(start + step, answer.count)
            do throws(HandshakeError) {
                if let rest = try parser.receive(answer[start..<end]) { return .open(rest: rest + answer[end...]) }
            } catch {
                return .refused(status: error.status, headers: error.headers, reason: error.reason)
            }
        }
        return .waits
    }
}
