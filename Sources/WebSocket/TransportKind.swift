import Curl

/// The transports by the names that they have in the configuration.
package enum TransportKind: String, Sendable, CaseIterable {
    case libcurl
    case urlsession

    package func make(network: NetworkSettings = NetworkSettings()) -> any WebSocketTransport {
        switch self {
        case .libcurl: CurlTransport(network: network)
        case .urlsession: URLSessionTransport()
        }
    }
}
