import WebSocket

/// What an operator may set about long connections.
package struct LongConnectionSettings: Sendable, Equatable {
    /// From the first address tried to the end of the upgrade.
    package var handshakeTimeout: Duration = .seconds(15)
    package var rules = LongConnectionMachine.Rules()
    package var webSocket = WebSocketOptions()

    package init() {}
}
