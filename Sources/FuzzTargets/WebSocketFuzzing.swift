import WebSocket

enum WebSocketFuzzing {
    /// The first byte says how the rest is cut; a stream must mean the same however it comes.
    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let stream = Array(bytes.dropFirst())
        for role in [WebSocketRole.client, .server] {
            let limits = WebSocketLimits(maxFrameBytes: 4_096, maxMessageBytes: 8_192)
            var whole = WebSocketProtocol(role: role, limits: limits, nextMask: { 0x1234_5678 })
            let events = whole.receive(stream)
            var cut = WebSocketProtocol(role: role, limits: limits, nextMask: { 0x1234_5678 })
            var pieces: [WebSocketEvent] = []
            let step = Int(first % 16) + 1
            for start in stride(from: 0, to: stream.count, by: step) {
                pieces += cut.receive(Array(stream[start..<min(start + step, stream.count)]))
            }
            precondition(events == pieces, "another meaning in pieces of \(step)")
            precondition(whole.takeOutput() == cut.takeOutput(), "another answer in pieces of \(step)")
            check(events, role, limits)
        }
    }

    private static func check(_ events: [WebSocketEvent], _ role: WebSocketRole, _ limits: WebSocketLimits) {
        for (index, event) in events.enumerated() {
            switch event {
            case .closed, .failed: precondition(index == events.count - 1, "something came after the end")
            case .ping(let payload), .pong(let payload): precondition(payload.count <= 125)
            case .message(.binary(let payload)): precondition(payload.count <= limits.maxMessageBytes)
            case .message(.text(let text)):
                precondition(text.utf8.count <= limits.maxMessageBytes)
                // What is decoded as text was UTF-8, so nothing was replaced that the peer did not send.
                var other = WebSocketProtocol(role: role == .client ? .server : .client)
                other.send(.text(text))
                var same = WebSocketProtocol(role: role)
                precondition(same.receive(other.takeOutput()) == [event])
            }
        }
    }
}
