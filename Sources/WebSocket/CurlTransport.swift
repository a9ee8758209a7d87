import AsyncRuntime
import Curl
import Foundation

/// WebSocket over libcurl's CONNECT_ONLY: the library makes the connection (DNS, happy eyeballs, TLS, proxies) and
/// moves the bytes without blocking; RFC 6455 is ours. See README, "Why libcurl carries the socket".
package struct CurlTransport: WebSocketTransport {
    package let name = "libcurl"
    private let network: NetworkSettings
    private let addresses = AddressMemory()

    package init(network: NetworkSettings = NetworkSettings()) {
        self.network = network
    }

    package func connect(
        to url: URL, options: WebSocketOptions, deadline: Deadline
    ) async throws -> any WebSocketConnection {
        let target = try WebSocketTarget(url)
        let route = Route(to: target.host, isSecure: target.isSecure, settings: network)
        let socket: CurlSocket
        do {
            socket = try await CurlSocket.connect(
                to: target.connectURL, route: route, isSecure: target.isSecure, settings: network,
                addresses: addresses, mustBePublic: options.mustBePublic, deadline: deadline)
        } catch let error as ConnectionFailure {
            throw WebSocketError.unreachable(error)
        }
        let connection = CurlWebSocketConnection(socket: socket, options: options)
        do {
            try await connection.shakeHands(target, at: route.words(socket.address), deadline: deadline)
            addresses.answered(socket.address, of: route)
            return connection
        } catch {
            await connection.abort()
            // Who refuses has answered.
            let isAnswer = (error as? HandshakeError).map { $0.status > 0 } ?? (error is CancellationError)
            if !isAnswer { addresses.failed(socket.address, of: route) }
            throw error
        }
    }
}
