import Configuration
import Gateway
import HTTPServer

/// The pairing pages, on an address of their own: it is the one that a proxy shows to the world.
enum PairingServer {
    private static let limits: HTTPServerLimits = {
        var limits = HTTPServerLimits()
        limits.maxBodyBytes = 4_096
        return limits
    }()

    static func start(on address: ListenAddress, gateway: Gateway) throws -> HTTPServer {
        try HTTPServer(host: address.host, port: address.port, limits: limits) { request in
            await gateway.answerPairing(request)
        }
    }
}
