import CLibcurl

/// Why a host could not be reached, or went away. Holds no URL: a query or a password may be secret.
package struct ConnectionFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Cause: Sendable, Equatable {
        /// The name of the host, or of the proxy, has no address.
        case nameResolution
        case connect
        /// The certificate is not trusted, has expired, or is somebody else's.
        case certificate
        /// No TLS connection for another reason: an old version, no TLS at all.
        case tls
        /// `network.ca_file` can't be read.
        case caFile
        /// The proxy can't be reached, or refuses.
        case proxy
        /// The answer is too large.
        case tooLarge
        /// Not tried: it would go over the network in clear, or to an address where it must not.
        case refusedHere
        case other
    }

    package let host: String
    /// The one that was tried last, where it says more than the host.
    package let address: String?
    package let cause: Cause
    /// The library's, completed by ours.
    package let words: String

    package init(host: String, cause: Cause, words: String) {
        self.host = host
        address = nil
        self.cause = cause
        self.words = words
    }

    static func clear(_ host: String) -> Self {
        Self(
            host: host, cause: .refusedHere,
            words: "plain http and ws would carry secrets in clear: use https, or set network.insecure")
    }

    static func notPublic(_ host: String, address: String) -> Self {
        let name = address == host ? host : "\(host) has the address \(address), which"
        return Self(
            host: host, cause: .refusedHere,
            words: "\(name) is of this machine or a private network, and the domain that names it is not")
    }

    package var description: String { "no connection to \(host)\(address.map { " (\($0))" } ?? ""): \(words)" }

    /// Another address of the host might do.
    var blamesTheAddress: Bool {
        switch cause {
        case .certificate, .tls, .proxy, .other: true
        // Where one can't be connected to, libcurl has tried the others.
        case .connect, .nameResolution, .caFile, .tooLarge, .refusedHere: false
        }
    }

    /// - Parameter connectStatus: what a proxy answered to CONNECT; 0 where it did not.
    init(code: CURLcode, words: String, route: Route, address: String?, connectStatus: Int) {
        let isThroughProxy = route.proxy != nil
        let detail = words.isEmpty ? String(cString: curl_easy_strerror(code)) : words
        let through = route.proxy.map { " (through the proxy \($0.address))" } ?? ""
        host = route.host
        self.address = route.telling(address)
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST:
            (cause, self.words) = (.nameResolution, detail + through)
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY:
            (cause, self.words) = (.proxy, detail + through)
        case _ where isThroughProxy && connectStatus == 407:
            (cause, self.words) = (.proxy, "the proxy wants a user and password, or refuses them (407)" + through)
        case _ where isThroughProxy && connectStatus >= 300:
            (cause, self.words) = (.proxy, "the proxy refused to connect (\(connectStatus))" + through)
        case CURLE_COULDNT_CONNECT:
            (cause, self.words) = (.connect, detail + through)
        case CURLE_PEER_FAILED_VERIFICATION:
            let problem = detail.droppingPrefix("SSL certificate problem: ").droppingPrefix("SSL: ")
            (cause, self.words) = (.certificate, "the certificate is refused: \(problem)" + through)
        case CURLE_SSL_CACERT_BADFILE:
            (cause, self.words) = (.caFile, detail)
        case CURLE_SSL_CONNECT_ERROR:
            (cause, self.words) = (.tls, detail + through)
        case CURLE_FILESIZE_EXCEEDED, CURLE_WRITE_ERROR:
            (cause, self.words) = (.tooLarge, "the answer is too large")
        default:
            (cause, self.words) = (.other, detail + through)
        }
    }
}

extension String {
    fileprivate func droppingPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self
    }
}
