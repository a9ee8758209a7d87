/// A parser of outside bytes, and what must hold for any bytes. What does not hold traps: libFuzzer and the tests take
/// that as a find.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// Lark's frames.
    case frame
    /// RFC 6455.
    case websocket
    /// The answer to a WebSocket upgrade.
    case handshake
    /// The parts of large events.
    case parts
    /// Events, down to the text of a message.
    case event
    /// The configuration file.
    case configuration
    /// What the platform lists of a chat.
    case listed
    /// Commands that people write.
    case command
    /// What a browser sends to the pairing page.
    case pairing
    /// What an agent says.
    case reply
    /// Mentions in what people write.
    case mentions
    /// What commands print of what stands in the database.
    case table

    package func run(_ bytes: [UInt8]) {
        switch self {
        case .frame: FrameFuzzing.run(bytes)
        case .websocket: WebSocketFuzzing.run(bytes)
        case .handshake: HandshakeFuzzing.run(bytes)
        case .parts: PartsFuzzing.run(bytes)
        case .event: EventFuzzing.run(bytes)
        case .configuration: ConfigurationFuzzing.run(bytes)
        case .listed: ListedFuzzing.run(bytes)
        case .command: CommandFuzzing.run(bytes)
        case .pairing: PairingFuzzing.run(bytes)
        case .reply: ReplyFuzzing.run(bytes)
        case .mentions: MentionsFuzzing.run(bytes)
        case .table: TableFuzzing.run(bytes)
        }
    }
}
