import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// A member who writes what costs the most, as fast as they can: texts full of mentions, commands in several chats,
/// topic after topic, and words that make the agent say what is dear to format.
final class HostileMember: Sendable {
    /// All of their chats begin with it.
    static let chat = "oc_hostile"
    /// What the agent says to them: empty lines and beginnings of links.
    static let reply = #"{ head -c 14000 /dev/zero | tr '\0' '\n'; yes '[a](' | head -n 3500 | tr -d '\n'; }"#

    private let simulator: LarkSimulator
    private let stop = AsyncEvent()
    private let writing: Mutex<Task<Void, Never>?> = Mutex(nil)

    init(_ simulator: LarkSimulator) {
        self.simulator = simulator
    }

    func start() {
        let task = Task { [self] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.write(every: .milliseconds(200), Self.mentions) }
                group.addTask { await self.write(every: .milliseconds(500), Self.dear) }
                group.addTask { await self.write(every: .milliseconds(50), Self.topic) }
                for number in 0..<4 {
                    group.addTask { await self.write(every: .milliseconds(200)) { _ in Self.command(number) } }
                }
            }
        }
        writing.withLock { $0 = task }
    }

    func end() async {
        stop.set()
        await writing.withLock { $0 }?.value
    }

    private func write(every pause: Duration, _ message: @Sendable (Int) -> SimulatedMessage) async {
        var number = 0
        while !stop.isSet {
            number += 1
            await simulator.send(message(number), to: Stage.app.id)
            await stop.wait(atMost: pause)
        }
    }

    private static func message(_ chat: String, _ text: String, type: String = "p2p") -> SimulatedMessage {
        SimulatedMessage(chatID: Self.chat + chat, chatType: type, sender: "ou_hostile", text: text)
    }

    /// As long as the platform lets it be, with as many mentions.
    @Sendable
    private static func mentions(_ number: Int) -> SimulatedMessage {
        var message = message("_mentions", String(repeating: "@_@_user_12", count: 148_000 / 11))
        message.mentionedNames = (0..<50).map { "N\($0)" }
        return message
    }

    @Sendable
    private static func dear(_ number: Int) -> SimulatedMessage { message("_dear", "say it \(number)") }

    @Sendable
    private static func topic(_ number: Int) -> SimulatedMessage {
        var message = message("_group", "and this \(number)", type: "group")
        message.threadID = "omt_\(number)"
        message.mentionsBot = true
        return message
    }

    private static func command(_ number: Int) -> SimulatedMessage { message("_command_\(number)", "/help") }
}

extension FaultsUnderLoad {
    @Test("a hostile member beside 50 chats: nobody waits more than twice as long for an answer, and nothing is lost")
    func hostileMember() async throws {
        let gateway = try await LoadedGateway(
            "hostile member", pause: .seconds(3)...(.seconds(6)), otherReply: HostileMember.reply)
        let messages = FaultSettings.isFull ? 1_000 : 80
        try await gateway.eachRound(1) { try await $0.moreMessages(messages) }
        try await gateway.eachRound(1) { gateway in
            let member = HostileMember(gateway.stage.simulator)
            member.start()
            try await gateway.moreMessages(messages)
            await member.end()
        }
        let calm = try await gateway.slowestAnswer(ofRound: 1)
        let hostile = try await gateway.slowestAnswer(ofRound: 2)
        FaultSettings.report("hostile member: p99 from message to answer \(calm) ms before, \(hostile) ms beside it")
        #expect(hostile <= 2 * calm)
        try await gateway.end()
    }
}

extension LoadedGateway {
    /// The 99th percentile of the milliseconds from the last message that a run was handed to when its answer was sent.
    func slowestAnswer(ofRound round: Int) async throws -> Int {
        let rows = try await stage.rows(
            """
            WITH run AS (
                SELECT t.installation_id, t.session_id, t.handed_position,
                    row_number() OVER (PARTITION BY t.session_id ORDER BY t.finished_at) AS nth
                FROM gateway.agent_task t WHERE t.status = 'completed'
            ), answer AS (
                SELECT o.session_id, o.sent_at, row_number() OVER (PARTITION BY o.session_id ORDER BY o.seq) AS nth
                FROM gateway.outbox o WHERE o.kind = 'reply'
            )
            SELECT round(percentile_disc(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM a.sent_at - m.sent_at)) * 1000)
            FROM run r
            JOIN answer a ON a.session_id = r.session_id AND a.nth = r.nth
            JOIN gateway.chat_message m ON m.installation_id = r.installation_id AND m.session_id = r.session_id
                AND m.position = r.handed_position
            WHERE m.content LIKE 'c%r\(round)m%'
            """)
        return Int(rows[0].dropFirst().dropLast()) ?? 0
    }
}
