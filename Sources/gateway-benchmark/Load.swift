import Foundation
import Lark
import LarkSimulator

/// Frames as the platform sends them, each with an event of about 1 KB.
enum Load {
    /// - Parameter label: part of every id, so that no two loads on one database are each other's duplicates.
    static func frames(_ count: Int, chats: Int, label: String) -> [(id: String, frame: [UInt8])] {
        (0..<count).map { index in
            let id = "\(label)-\(index)"
            let chat = index % chats
            let message = SimulatedMessage(
                chatID: "oc_\(chat)", sender: "ou_\(chat % 50)",
                text: "Message \(index): could you look at the weather in Shanghai, and at Qingdao too, please?",
                messageID: "om_\(id)")
            return (id, frame(SimulatedEvent.payload(message, app: Rig.app, eventID: "ev_\(id)"), id: id))
        }
    }

    static func frame(_ payload: [UInt8], id: String) -> [UInt8] {
        let headers = [
            ("type", "event"), ("message_id", id), ("sum", "1"), ("seq", "0"), ("trace_id", "trace-\(id)"),
            ("timestamp", "1700000000000"),
        ]
        return Frame(
            sequenceID: 1, logID: 1, service: 33_554_678, method: Frame.Method.data,
            headers: headers.map { Frame.Header(key: $0.0, value: $0.1) }, payload: payload
        ).encoded()
    }
}
