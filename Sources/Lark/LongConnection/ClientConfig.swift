/// What the platform tells a client about its timing, at the bootstrap and in any pong. Missing and zero fields keep
/// what was there.
package struct ClientConfig: Sendable, Equatable {
    package var pingInterval: Duration = .seconds(120)
    /// Counts as a bound only where the bootstrap said busy.
    package var reconnectInterval: Duration = .seconds(120)

    package init() {}

    package mutating func takeOver(_ json: JSONValue) {
        if let seconds = json["PingInterval"].integer, (1...86_400).contains(seconds) {
            pingInterval = .seconds(seconds)
        }
        if let seconds = json["ReconnectInterval"].integer, (1...86_400).contains(seconds) {
            reconnectInterval = .seconds(seconds)
        }
    }
}
