import Curl
import Foundation

/// The domain whose bootstrap names an endpoint, and what it may name. A bootstrap that lies, or is somebody else's,
/// would have messages sent in clear, or requests made in the gateway's own network.
struct EndpointOrigin: Sendable {
    private let isSecure: Bool
    private let isInsecureAllowed: Bool
    /// The domain is one of the internet, and so must its endpoints be.
    let isPublic: Bool

    /// - Parameter address: where the domain answered; nil: a proxy stands before it, and its name alone is known.
    init(domain: URL, address: String?, isInsecureAllowed: Bool) {
        isSecure = domain.scheme?.lowercased() == "https"
        self.isInsecureAllowed = isInsecureAllowed
        let scope = address.flatMap { AddressScope(address: $0) } ?? AddressScope(host: domain.host ?? "")
        isPublic = !isInsecureAllowed && (scope ?? .internet) == .internet
    }

    /// - Parameter endpoint: of ws or wss.
    /// - Throws: `ConnectFailure.unsafe`.
    func check(_ endpoint: URL) throws(ConnectFailure) {
        let scope = AddressScope(host: endpoint.host ?? "")
        if isSecure, endpoint.scheme?.lowercased() != "wss" {
            throw .unsafe(reason: "the bootstrap of an https domain names an endpoint of ws, which is in clear")
        }
        if !isSecure, !isInsecureAllowed, scope != .thisMachine {
            throw .unsafe(reason: "the bootstrap of an http domain names an endpoint on another machine")
        }
        if isPublic, let scope, scope != .internet {
            throw .unsafe(
                reason: "the bootstrap of a public domain names an endpoint on this machine or in a private network")
        }
    }
}
