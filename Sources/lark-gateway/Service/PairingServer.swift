import Configuration
import Gateway
import HTTPServer

/// The pairing pages, on an address of their own: it is the one that a proxy shows to the world.
enum PairingServer {
    /// On loopback all clients of the proxy have one address, so that one has no bound of its own.
    private static func limits(isLoopback: Bool) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maxBodyBytes = 4_096
        limits.maxConnections = 1_024
        limits.maxConnectionsPerAddress = isLoopback ? 0 : 64
        limits.requestPatience = .seconds(10)
        return limits
    }

    static func start(on address: ListenAddress, gateway: Gateway) throws -> HTTPServer {
        let limits = limits(isLoopback: address.isLoopback)
        return try HTTPServer(host: address.host, port: address.port, limits: limits) { request in
            await gateway.answerPairing(request)
        }
    }
}
