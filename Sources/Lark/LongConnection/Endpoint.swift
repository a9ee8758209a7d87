import Curl
import Foundation

/// Where to connect, from the bootstrap. Used once; the URL carries secrets in its query and is never logged.
package struct Endpoint: Sendable {
    package let url: URL
    package let serviceID: Int32
    package let config: ClientConfig
    /// It has no address of this machine or of a private network.
    package let mustBePublic: Bool

    package init(url: URL, serviceID: Int32, config: ClientConfig, mustBePublic: Bool = false) {
        self.url = url
        self.serviceID = serviceID
        self.config = config
        self.mustBePublic = mustBePublic
    }
}

/// Why there is no connection now, and whether trying again by itself can help.
package enum ConnectFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// A person must act; tried again slowly, and at once when the installation changes.
    case refused(code: Int, reason: String)
    /// The platform was not asked, or not followed, since that would not be safe. A person must act; tried again
    /// slowly.
    case unsafe(reason: String)
    /// Will pass; tried again with backoff. `busy` where the platform itself said so.
    case retryable(reason: String, busy: Busy? = nil)

    package struct Busy: Sendable, Equatable {
        /// The ReconnectInterval of the same answer; nil: it has none.
        package let interval: Duration?
    }

    package var description: String {
        switch self {
        case .refused(let code, let reason): "refused (code \(code)): \(reason)"
        case .unsafe(let reason): "refused here: \(reason)"
        case .retryable(let reason, _): reason
        }
    }

    /// Each app may have 50 connections.
    package static let tooManyConnections = 1_000_040_350
    static let tooManyConnectionsReason =
        "this app has 50 connections elsewhere: find the other processes that run with this app_id and stop them"
}

/// The endpoint bootstrap: POST {domain}/callback/ws/endpoint.
package struct EndpointBootstrap: Sendable {
    private let http: HTTPExchange
    private let domain: URL

    package init(domain: URL, http: HTTPExchange) {
        self.domain = domain
        self.http = http
    }

    /// - Throws: `ConnectFailure`, `CancellationError`.
    package func fetch(appID: String, appSecret: String) async throws -> Endpoint {
        let answer: HTTPExchange.Answer
        do {
            answer = try await http.send(
                "POST", domain.appendingPathComponent("callback/ws/endpoint"), headers: ["locale": "en"],
                json: ["AppID": appID, "AppSecret": appSecret], for: .connecting, of: appID)
        } catch let error as CancellationError {
            throw error
        } catch let error as ConnectionFailure where error.cause == .refusedHere {
            throw ConnectFailure.unsafe(reason: "\(domain.host ?? "?"): \(error.words)")
        } catch {
            throw ConnectFailure.retryable(reason: "bootstrap: \(error)")
        }
        let origin = EndpointOrigin(
            domain: domain, address: answer.address, isInsecureAllowed: http.isInsecureAllowed)
        return try Self.read(status: answer.status, body: answer.body, from: origin)
    }

    static func read(status: Int, body: Data, from origin: EndpointOrigin) throws(ConnectFailure) -> Endpoint {
        guard let json = JSONValue(parsing: body), let code = json["code"].integer else {
            throw .retryable(reason: "bootstrap: HTTP \(status) with \(body.count) bytes that are no JSON answer")
        }
        let data = json["data"]
        var config = ClientConfig()
        config.takeOver(data["ClientConfig"])
        guard code == 0 else {
            throw failure(code: code, message: json["msg"].string ?? "", config)
        }
        guard status == 200 else { throw .retryable(reason: "bootstrap: HTTP \(status)") }
        guard let text = data["URL"].string, !text.isEmpty else { throw .retryable(reason: "bootstrap: no URL") }
        guard let url = URL(string: text), let scheme = url.scheme?.lowercased(), ["ws", "wss"].contains(scheme) else {
            throw .retryable(reason: "bootstrap: the URL is neither ws nor wss")
        }
        try origin.check(url)
        let query = URLComponents(url: url, resolvingAgainstBaseURL: false)?.queryItems
        guard let service = query?.first(where: { $0.name == "service_id" })?.value.flatMap({ Int32($0) }) else {
            throw .retryable(reason: "bootstrap: the URL has no service_id")
        }
        return Endpoint(url: url, serviceID: service, config: config, mustBePublic: origin.isPublic)
    }

    private static func failure(code: Int, message: String, _ config: ClientConfig) -> ConnectFailure {
        let words = String(message.prefix(200))
        switch code {
        case 1:
            return .retryable(
                reason: "bootstrap: the platform is busy: \(words)",
                busy: ConnectFailure.Busy(interval: config.reconnectInterval))
        case 1_000_040_343: return .retryable(reason: "bootstrap: internal error of the platform: \(words)")
        case 403: return .refused(code: code, reason: "forbidden: the app is disabled or banned: \(words)")
        case 514: return .refused(code: code, reason: "authentication failed: check app_id and app_secret: \(words)")
        case ConnectFailure.tooManyConnections:
            return .refused(code: code, reason: ConnectFailure.tooManyConnectionsReason)
        default: return .refused(code: code, reason: "the platform refused this app: \(words)")
        }
    }
}
