import AsyncRuntime

/// One whole data frame that wants an ack: the platform delivers it again when none comes within 3 s.
package struct Delivery: Sendable, Equatable {
    /// The frame that completed it; it is what the ack is made of.
    package let frame: Frame
    /// The payload, its parts joined.
    package let payload: [UInt8]

    package init(frame: Frame, payload: [UInt8]) {
        self.frame = frame
        self.payload = payload
    }

    /// `event`, `card`, or what else came.
    package var type: String { frame.word("type") ?? "" }
    /// For the platform's support.
    package var traceID: String? { frame.header("trace_id") }

    /// What its ack needs, and no more: a message that waits to be stored is not held in memory twice.
    package var withoutPayload: Delivery {
        var frame = frame
        frame.payload = nil
        return Delivery(frame: frame, payload: [])
    }

    /// The data frame itself sent back, with a header biz_rt added and the payload replaced.
    package func acknowledgement(_ code: AckCode, handledIn duration: Duration) -> Frame {
        var answer = frame
        answer.headers.append(Frame.Header(key: "biz_rt", value: "\(max(0, duration.milliseconds))"))
        answer.payload = Array(#"{"code":\#(code.rawValue),"headers":null,"data":null}"#.utf8)
        return answer
    }
}

/// The answer to a delivery.
package enum AckCode: Int, Sendable {
    /// Its fate is committed: it will not come again.
    case handled = 200
    /// It could not be stored: it will come again.
    case failed = 500
}
