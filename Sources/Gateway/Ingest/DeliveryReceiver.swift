import AsyncRuntime
import Lark
import Store

/// The first station of what the long connection brings: decodes a delivery, hands a message on to the dispatcher, and
/// acks the rest at once. Never waits for storage.
struct DeliveryReceiver: Sendable {
    let appID: String
    let lease: Lease
    let bot: KnownBot
    let dispatcher: Dispatcher
    let logger: Logger
    /// For what a platform can send without an end.
    let rateLimitedLog: RateLimitedLog
    let metrics: Metrics

    func receive(_ delivery: Delivery, on connection: LongConnection) async {
        let began = ContinuousClock.now
        let acknowledge: Dispatcher.Acknowledge = { [receipt = delivery.withoutPayload] code in
            await connection.acknowledge(receipt, code, handledIn: began.duration(to: .now))
        }
        guard delivery.type == "event" else {
            if delivery.type != "card" { rateLimitedLog.log(.frameIgnored(appID: appID, type: delivery.type)) }
            metrics.add(to: .eventsIgnored)
            // To refuse it would only bring it back for ever.
            return await acknowledge(.handled)
        }
        switch await decode(delivery.payload) {
        case .message(let message) where message.awaitsIdentity && message.fault == nil:
            // Once per time without an identity, not once per message.
            if bot.isFirstToWait() { logger.log(.messageDeferred(appID: appID)) }
            metrics.add(to: .ingestFailures)
            metrics.add(to: .acks, "500")
            // Dropped it would never come again; stored it would be answered whoever was meant.
            await acknowledge(.failed)
        case .message(let message):
            await dispatcher.receive(
                message, under: lease, receiptBytes: delivery.frame.headBytes, acknowledge: acknowledge)
        case .ignored(let type):
            logger.log(.eventIgnored(appID: appID, type: type, traceID: delivery.traceID))
            metrics.add(to: .eventsIgnored)
            await acknowledge(.handled)
        case .undecodable(let reason):
            rateLimitedLog.log(
                .eventUndecodable(
                    appID: appID, reason: reason, bytes: delivery.payload.count, traceID: delivery.traceID))
            // Its drop is audited like any other before it is acked.
            var message = InboundMessage(appID: appID)
            message.fault = .invalidEvent
            message.faultReason = reason
            await dispatcher.receive(
                message, under: lease, receiptBytes: delivery.frame.headBytes, acknowledge: acknowledge)
        }
    }

    /// A text of the platform's own limit, 150 KB, takes some milliseconds. What is longer than this is decoded on a
    /// thread of its own: acks, pings and leases of all the other connections need not wait for it.
    private static let maxBytesInPlace = 16 << 10

    private func decode(_ payload: [UInt8]) async -> EventDecoder.Decoded {
        let decoder = EventDecoder(appID: appID, bot: bot.identity)
        guard payload.count > Self.maxBytesInPlace else { return decoder.decode(payload) }
        return await BlockingCall.run { decoder.decode(payload) }
    }

    /// The connection has ended.
    func ended() {
        rateLimitedLog.flush()
    }

    /// A frame that was of no use.
    func dropped(_ frame: LongConnectionMachine.Dropped) {
        rateLimitedLog.log(.frameDropped(appID: appID, frame))
        metrics.add(to: .framesDropped, frame.name)
    }
}
