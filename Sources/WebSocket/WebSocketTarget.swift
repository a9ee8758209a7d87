import Foundation

/// What a ws or wss URL says (RFC 6455, section 3), in the terms of HTTP.
struct WebSocketTarget: Sendable {
    /// http or https, without path and query.
    let connectURL: String
    let isSecure: Bool
    /// The host alone, for messages.
    let host: String
    /// The host and its port, unless that is the scheme's own.
    let hostHeader: String
    /// Path and query. May be a secret.
    let requestTarget: String

    /// - Throws: `WebSocketError.unsupportedURL`.
    init(_ url: URL) throws {
        guard var parts = URLComponents(url: url, resolvingAgainstBaseURL: false), let host = parts.host,
            !host.isEmpty, let scheme = parts.scheme?.lowercased(), scheme == "ws" || scheme == "wss"
        else { throw WebSocketError.unsupportedURL(url.scheme ?? "no scheme") }
        isSecure = scheme == "wss"
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        requestTarget = path + (parts.percentEncodedQuery.map { "?" + $0 } ?? "")
        let isDefaultPort = parts.port == nil || parts.port == (isSecure ? 443 : 80)
        // URLComponents keeps the brackets of an IPv6 address.
        self.host = host
        hostHeader = host + (isDefaultPort ? "" : ":\(parts.port ?? 0)")
        parts.scheme = isSecure ? "https" : "http"
        parts.user = nil
        parts.password = nil
        parts.percentEncodedPath = "/"
        parts.percentEncodedQuery = nil
        parts.fragment = nil
        guard let connectURL = parts.string else { throw WebSocketError.unsupportedURL(scheme) }
        self.connectURL = connectURL
    }
}
