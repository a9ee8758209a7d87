import AsyncRuntime

/// People who go on writing: a message to each of many chats again and again, numbered, at random intervals.
package final class SteadyLoad: Sendable {
    private let simulator: LarkSimulator
    private let appIDs: [String]
    private let label: String
    private let chats: Int
    private let pause: ClosedRange<Duration>
    private let sentMessages = Mutex(0)
    private let stop = AsyncEvent()
    private let writers = Mutex([Task<Void, Never>]())

    /// - Parameter appIDs: the bots that are written to; the chats are spread over them.
    /// - Parameter label: part of every id and text, so that no two loads on one simulator are each other's duplicates.
    /// - Parameter pause: between two messages of a chat.
    package init(
        on simulator: LarkSimulator, appIDs: [String], label: String, chats: Int, pause: ClosedRange<Duration>
    ) {
        self.simulator = simulator
        self.appIDs = appIDs
        self.label = label
        self.chats = chats
        self.pause = pause
    }

    /// Messages sent so far, over all chats.
    package var sent: Int { sentMessages.withLock { $0 } }

    package static func chatID(_ number: Int) -> String { "oc_load_\(number)" }

    /// - Parameter seed: the intervals follow from it.
    package func start(seed: UInt64) {
        writers.withLock { writers in
            writers = (0..<chats).map { chat in
                Task { await self.write(to: chat, SeededGenerator(seed: seed &+ UInt64(chat))) }
            }
        }
    }

    /// Returns when nobody writes any more.
    package func end() async {
        stop.set()
        for writer in writers.withLock({ $0 }) {
            writer.cancel()
            await writer.value
        }
    }

    private func write(to chat: Int, _ generator: SeededGenerator) async {
        guard !appIDs.isEmpty else { return }
        let appID = appIDs[chat % appIDs.count]
        var generator = generator
        var number = 0
        func rest() async {
            let bounds = pause.lowerBound.milliseconds...pause.upperBound.milliseconds
            try? await Task.sleep(for: .milliseconds(Int64.random(in: bounds, using: &generator)))
        }
        await rest()
        while !stop.isSet {
            number += 1
            // In order within the chat: the next one is sent when this one has been written.
            await simulator.send(
                SimulatedMessage(
                    chatID: Self.chatID(chat), sender: "ou_load_\(chat)", text: "c\(chat)\(label)m\(number)",
                    messageID: "om_\(chat)_\(label)_\(number)"), to: appID)
            sentMessages.withLock { $0 += 1 }
            await rest()
        }
    }
}
