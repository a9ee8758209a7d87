import CLibcurl
import Foundation

/// How every connection to the platform is made: whom to trust, and through which proxy.
package struct NetworkSettings: Sendable, Equatable {
    /// Certificates (PEM) that are trusted beside the system's.
    package var caFile: String?
    package var systemStore = TrustStore.system
    package var proxies = Proxies()
    /// Plain http and ws may go to other machines, and a public domain may name an endpoint of a private network.
    package var isInsecureAllowed = false
    /// Addresses that stand in for the name server's, in curl's form `host:port:address[,address]`. For tests.
    package var addresses: [String] = []

    package init() {}

    /// - Throws: `ConnectionFailure` where what is sent would leave this machine in clear.
    package func refuseClear(to host: String, isSecure: Bool) throws(ConnectionFailure) {
        guard isSecure || isInsecureAllowed || AddressScope(host: host) == .thisMachine else { throw .clear(host) }
    }

    /// Sets what a handle needs for one URL.
    func apply(to handle: CurlHandle, isSecure: Bool) {
        _ = lgw_curl_only_http(handle.pointer)
        lgw_curl_quick_exit(handle.pointer)
        handle.set(CURLOPT_NOSIGNAL, 1)
        // A path goes out as it stands in the URL: "/a/../b" is not made "/b".
        handle.set(CURLOPT_PATH_AS_IS, 1)
        handle.set(CURLOPT_TCP_NODELAY, 1)
        handle.set(CURLOPT_TCP_KEEPALIVE, 1)
        handle.set(CURLOPT_SSL_VERIFYPEER, 1)
        handle.set(CURLOPT_SSL_VERIFYHOST, 2)
        handle.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        if isSecure { systemStore.apply(to: handle, and: caFile) }
        apply(isSecure ? proxies.https : proxies.http, to: handle)
        handle.setAddresses(addresses)
    }

    private func apply(_ proxy: Proxy?, to handle: CurlHandle) {
        // Not nothing: libcurl would look into the environment itself, and quote a password in an error.
        handle.set(CURLOPT_PROXY, proxy?.address ?? "")
        handle.set(CURLOPT_NOPROXY, proxies.exceptions.joined(separator: ","))
        handle.set(CURLOPT_PROXYUSERNAME, proxy?.user)
        handle.set(CURLOPT_PROXYPASSWORD, proxy?.password)
        handle.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    }
}

/// The certificates of authorities that the system trusts.
package struct TrustStore: Sendable, Equatable {
    /// With names that are hashes (openssl-rehash(1)).
    package let folder: String?
    /// All of them in one file.
    package let bundle: String?

    /// A folder alone where there is a usable one: OpenSSL then reads the one certificate that it needs, instead of
    /// holding all of them for each connection.
    package static let system = TrustStore(
        folders: [lgw_curl_ca_folder().map { String(cString: $0) } ?? ""] + usualFolders,
        bundle: lgw_curl_ca_bundle().map { String(cString: $0) })

    /// Where systems keep such a folder beside the bundle that their libcurl reads: Debian, SUSE and Alpine; Fedora and
    /// those that follow it.
    private static let usualFolders = ["/etc/ssl/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash"]

    /// - Parameter folders: of which the first that is one is taken.
    package init(folders: [String], bundle: String?) {
        folder = folders.first { folder in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return names.contains { $0.wholeMatch(of: /[0-9a-f]{8}\.[0-9]+/) != nil }
        }
        self.bundle = folder == nil ? bundle : nil
    }

    func apply(to handle: CurlHandle, and caFile: String?) {
        handle.set(CURLOPT_CAPATH, folder)
        guard let bundle, let caFile else { return handle.set(CURLOPT_CAINFO, caFile ?? bundle) }
        handle.set(CURLOPT_CAINFO, nil)
        let both = [bundle, caFile].compactMap { FileManager.default.contents(atPath: $0) }
        handle.set(CURLOPT_CAINFO_BLOB, Data(both.joined(separator: Data("\n".utf8))))
    }
}
