import Foundation

/// A proxy: HTTP CONNECT (RFC 9110, section 9.3.6) or SOCKS5 (RFC 1928 and 1929).
package struct Proxy: Sendable, Equatable {
    package enum Scheme: String, Sendable, CaseIterable {
        case http
        /// The host's name is resolved here.
        case socks5
        /// The host's name is resolved by the proxy.
        case socks5h
    }

    package let scheme: Scheme
    /// Without the brackets of an IPv6 address.
    package let host: String
    package let port: Int
    /// A secret, as its password.
    package let user: String?
    package let password: String?

    /// What is wrong with a text that should name a proxy. Never the text itself: it may hold a password.
    package struct Malformed: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// - Parameter text: `http://[user:password@]host[:port]`, `socks5://…` or `socks5h://…`; without a scheme: http.
    ///   The user and the password are percent-encoded. The port is 1080 unless it is named, as curl has it.
    package init(_ text: String) throws(Malformed) {
        let whole = text.contains("://") ? text : "http://" + text
        guard let parts = URLComponents(string: whole), let name = parts.scheme?.lowercased() else {
            throw Malformed(description: "not a URL of a proxy, such as http://proxy.example.com:3128")
        }
        guard let scheme = Scheme(rawValue: name) else {
            throw Malformed(
                description: "a proxy of the scheme \(name.prefix(20)); known: http, socks5, socks5h")
        }
        guard let host = parts.host, !host.isEmpty else { throw Malformed(description: "a proxy without a host") }
        guard ["", "/"].contains(parts.path), parts.query == nil, parts.fragment == nil else {
            throw Malformed(description: "a proxy with more than scheme, user, password, host and port")
        }
        guard (1...65_535).contains(parts.port ?? 1080) else { throw Malformed(description: "a port that is none") }
        guard parts.password == nil || parts.user?.isEmpty == false else {
            throw Malformed(description: "a proxy with a password and no user")
        }
        self.scheme = scheme
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? 1080
        user = parts.user.flatMap { $0.isEmpty ? nil : $0 }
        password = parts.password
    }

    /// Without the credentials.
    package var address: String { "\(scheme.rawValue)://\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}

/// Which proxy stands before which kind of URL.
package struct Proxies: Sendable, Equatable {
    /// For http and ws.
    package var http: Proxy?
    /// For https and wss.
    package var https: Proxy?
    /// Hosts that are reached without one: names (and all below them), addresses, networks such as `10.0.0.0/8`, or
    /// `*`.
    package var exceptions: [String] = []

    package init() {}

    /// The same for everything.
    package init(_ proxy: Proxy, exceptions: [String]) {
        http = proxy
        https = proxy
        self.exceptions = exceptions
    }

    /// A variable that should name a proxy, and what is wrong with it.
    package struct MalformedVariable: Error, Equatable {
        package let name: String
        package let problem: String
    }

    /// The usual variables, as curl reads them: `https_proxy`, `http_proxy` (in small letters alone: a CGI program
    /// finds a client's header in the other), `all_proxy`, `no_proxy`. An empty one counts as none.
    package init(environment: [String: String]) throws(MalformedVariable) {
        func first(_ names: [String]) throws(MalformedVariable) -> Proxy? {
            guard let name = names.first(where: { environment[$0]?.isEmpty == false }) else { return nil }
            do throws(Proxy.Malformed) {
                return try Proxy(environment[name] ?? "")
            } catch {
                throw MalformedVariable(name: name, problem: error.description)
            }
        }
        http = try first(["http_proxy", "all_proxy", "ALL_PROXY"])
        https = try first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
        exceptions = Self.exceptions(environment: environment)
    }

    package static func exceptions(environment: [String: String]) -> [String] {
        let text = environment["no_proxy"] ?? environment["NO_PROXY"] ?? ""
        return text.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
    }
}
