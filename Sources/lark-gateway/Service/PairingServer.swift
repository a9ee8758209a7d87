import Configuration
import Gateway
import HTTPServer

/// The pairing pages, on an address of their own: it is the one that a proxy shows to the world.
enum PairingServer {
    static func start(on address: ListenAddress, gateway: Gateway) throws -> HTTPServer {
        try HTTPServer(host: address.host, port: address.port, maxBodyBytes: 4096) { request in
            await gateway.answerPairing(request)
        }
    }
}
