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
        case other
    }

    package let host: String
    package let cause: Cause
    /// The library's, completed by ours.
    package let words: String

    package init(host: String, cause: Cause, words: String) {
        self.host = host
        self.cause = cause
        self.words = words
    }

    package var description: String { "no connection to \(host): \(words)" }

    /// - Parameter proxy: the proxy that was to be used, without credentials.
    /// - Parameter connectStatus: what a proxy answered to CONNECT; 0 where it did not.
    init(code: CURLcode, words: String, host: String, proxy: String?, connectStatus: Int) {
        let detail = words.isEmpty ? String(cString: curl_easy_strerror(code)) : words
        let through = proxy.map { " (through the proxy \($0))" } ?? ""
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST:
            self.init(host: host, cause: .nameResolution, words: detail + through)
        case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY:
            self.init(host: host, cause: .proxy, words: detail + through)
        case _ where proxy != nil && connectStatus == 407:
            self.init(
                host: host, cause: .proxy, words: "the proxy wants a user and password, or refuses them (407)" + through
            )
        case _ where proxy != nil && connectStatus >= 300:
            self.init(
                host: host, cause: .proxy, words: "the proxy refused to connect (\(connectStatus))" + through)
        case CURLE_COULDNT_CONNECT:
            self.init(host: host, cause: .connect, words: detail + through)
        case CURLE_PEER_FAILED_VERIFICATION:
            let problem = detail.droppingPrefix("SSL certificate problem: ").droppingPrefix("SSL: ")
            self.init(
                host: host, cause: .certificate, words: "the certificate is refused: \(problem)" + through)
        case CURLE_SSL_CACERT_BADFILE:
            self.init(host: host, cause: .caFile, words: detail)
        case CURLE_SSL_CONNECT_ERROR:
            self.init(host: host, cause: .tls, words: detail + through)
        case CURLE_FILESIZE_EXCEEDED, CURLE_WRITE_ERROR:
            self.init(host: host, cause: .tooLarge, words: "the answer is too large")
        default:
            self.init(host: host, cause: .other, words: detail + through)
        }
    }
}

extension String {
    fileprivate func droppingPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self
    }
}
