/// What the platform tells a client about its timing, at the bootstrap and in any pong. Missing and zero fields keep
/// what was there.
package struct ClientConfig: Sendable, Equatable {
    package var pingInterval: Duration = .seconds(120)
    /// Counts as a bound only where the bootstrap said busy; nil: the platform never said it.
    package var reconnectInterval: Duration?

    /// The longest wait before the first attempt after a connection's end.
    package var reconnectNonce: Duration = .seconds(30)
    /// After so many attempts in a row without a connection the platform wants no more of them; nil: no end.
    package var reconnectCount: Int?

    package init() {}

    package mutating func takeOver(_ json: JSONValue) {
        if let seconds = json["PingInterval"].integer, (1...86_400).contains(seconds) {
            pingInterval = .seconds(seconds)
        }
        if let seconds = json["ReconnectInterval"].integer, (1...86_400).contains(seconds) {
            reconnectInterval = .seconds(seconds)
        }
        if let seconds = json["ReconnectNonce"].integer, (1...86_400).contains(seconds) {
            reconnectNonce = .seconds(seconds)
        }
        if let count = json["ReconnectCount"].integer {
            if count < 0 { reconnectCount = nil }
            if count > 0 { reconnectCount = count }
        }
    }
}
