import CLibcurl
import Glibc

/// Makes the sockets of one call of libcurl, and refuses them for addresses that are to be avoided: libcurl then goes
/// on with the next one. Of one thread.
final class Dialling {
    private let avoided: Set<String>
    private let route: Route
    private let mustBePublic: Bool
    /// Sockets that were refused.
    private(set) var refusals = 0
    /// The address of the last socket that was made.
    private(set) var lastAddress: String?
    /// The last one that is not of the internet, and was refused for that.
    private(set) var notPublic: String?

    /// - Parameter mustBePublic: no address but those of the internet is connected to; a proxy's is.
    init(_ route: Route, avoiding avoided: Set<String>, mustBePublic: Bool) {
        self.route = route
        self.avoided = avoided
        self.mustBePublic = mustBePublic
    }

    /// - Parameter body: calls libcurl.
    func withSockets<T>(of handle: UnsafeMutableRawPointer, _ body: () -> T) -> T {
        _ = lgw_curl_set_pointer(handle, CURLOPT_OPENSOCKETDATA, Unmanaged.passUnretained(self).toOpaque())
        _ = lgw_curl_set_open_socket(handle) { context, _, address in
            guard let context, let address else { return CURL_SOCKET_BAD }
            return Unmanaged<Dialling>.fromOpaque(context).takeUnretainedValue().open(address)
        }
        defer {
            _ = lgw_curl_set_open_socket(handle, nil)
            _ = lgw_curl_set_pointer(handle, CURLOPT_OPENSOCKETDATA, nil)
        }
        return withExtendedLifetime(self, body)
    }

    private func open(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        let name = Self.name(&address.pointee.addr, address.pointee.addrlen)
        if let name, avoided.contains(name) {
            refusals += 1
            return CURL_SOCKET_BAD
        }
        if mustBePublic, !route.isProxy(port: Self.port(&address.pointee.addr)),
            name.flatMap({ AddressScope(address: $0) }) != .internet
        {
            notPublic = name ?? "?"
            return CURL_SOCKET_BAD
        }
        lastAddress = name
        return socket(
            address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
    }

    /// It stands at the same place for both families.
    private static func port(_ address: UnsafePointer<sockaddr>) -> Int {
        address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Int(UInt16(bigEndian: $0.pointee.sin_port)) }
    }

    private static func name(_ address: UnsafePointer<sockaddr>, _ size: UInt32) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
            guard let text = buffer.baseAddress,
                getnameinfo(address, size, text, socklen_t(NI_MAXHOST), nil, 0, NI_NUMERICHOST) == 0
            else { return nil }
            return String(cString: text)
        }
    }
}
