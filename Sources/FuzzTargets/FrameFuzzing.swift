import Lark

enum FrameFuzzing {
    static func run(_ bytes: [UInt8]) {
        guard let frame = try? Frame(decoding: bytes) else { return }
        // What we understand we can send back, and understand again.
        let again = try? Frame(decoding: frame.encoded())
        precondition(again == frame, "a frame changes on its way back")
        let delivery = Delivery(frame: frame, payload: frame.payload ?? [])
        let ack = delivery.acknowledgement(.handled, handledIn: .milliseconds(7))
        precondition((try? Frame(decoding: ack.encoded())) == ack, "an ack that can't be read")
    }
}
