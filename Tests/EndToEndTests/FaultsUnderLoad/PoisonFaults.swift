import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

extension FaultsUnderLoad {
    @Test(
        "I9: poisoned messages among good ones are dropped with an audit row, or repaired; their neighbours are stored")
    func poison() async throws {
        let gateway = try await LoadedGateway("poison")
        var number = 0
        let rounds = FaultSettings.rounds(full: 10)
        try await gateway.eachRound(rounds) { gateway in
            number += 1
            let simulator = gateway.stage.simulator
            func send(_ kind: String, chat: String = "oc_poison", sender: String = "ou_poison", text: String) async {
                await simulator.send(
                    SimulatedMessage(chatID: chat, sender: sender, text: text, messageID: "om_\(kind)_\(number)"),
                    to: Stage.app.id)
            }
            // Random, so that it can't be compressed into an index either.
            let long = String((0..<10_000).map { _ in Character("\(Int.random(in: 0...9, using: &gateway.random))") })
            await send("nul", text: "c900r\(number)m1 \0")
            await send("huge", text: String(repeating: "c900r1m2 ", count: 10 << 20 / 9))
            await send("id\(long)", text: "the id does not fit into an index")
            await send("chat", chat: "oc_\(long)", text: "the chat does not fit")
            await send("sender", sender: "ou_\(long)", text: "the sender does not fit")
            let good = Array(#"{"header":{"event_type":"im.message.receive_v1"},"event":{}}"#.utf8)
            let deep =
                Array(repeating: UInt8(ascii: "["), count: 10_000) + Array(repeating: UInt8(ascii: "]"), count: 10_000)
            // Invalid UTF-8 in a name that nobody reads.
            let broken = Array(#"{"a"#.utf8) + [0xC3, 0x28] + Array(#"":1}"#.utf8)
            for payload in [good, deep, broken] {
                await simulator.deliver(payload, messageID: "", to: Stage.app.id)
            }
        }
        // Huge, id, chat and sender, once each. Empty, deep and broken have no id to be known by: one that comes again,
        // because its ack took over 3 s, is audited again.
        let audited = try await gateway.stage.rows(
            """
            SELECT count(*) FILTER (WHERE coalesce(lark_message_id, '') <> ''),
                   count(*) FILTER (WHERE coalesce(lark_message_id, '') = '') >= \(3 * rounds)
            FROM gateway.inbound_audit WHERE reason = 'invalid_event'
            """)
        #expect(audited == ["(\(4 * rounds),t)"])
        let repaired = "SELECT count(*) FROM gateway.chat_message WHERE content LIKE '%\u{FFFD}'"
        #expect(try await gateway.stage.rows(repaired) == ["(\(rounds))"], "B21: repaired and stored")
        #expect(!gateway.daemon.output.contains("does not fit"), "no body is in the log")
        try await gateway.end()
    }
}
