import Foundation

/// The Unix socket of a Postgres server, for what stands between it and its clients.
enum UnixSocket {
    /// - Parameter url: of a database on a server that is reached by Unix socket.
    static func path(in url: String) throws -> String {
        let words = url.split(separator: " ")
        guard let folder = words.first(where: { $0.hasPrefix("host='") })?.dropFirst(6).dropLast() else {
            throw PeerError(description: "no Unix socket in \(url)")
        }
        return folder + "/.s.PGSQL.5432"
    }

    /// The same database by TCP.
    static func url(_ url: String, onPort port: Int) -> String {
        let rest = url.split(separator: " ").filter { !$0.hasPrefix("host=") && !$0.hasPrefix("port=") }
        return "host=127.0.0.1 port=\(port) \(rest.joined(separator: " "))"
    }

    /// - Returns: nil where nobody listens. Whoever gets it closes it.
    static func connect(_ path: String) -> RawServer.Peer? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isConnected else {
            close(descriptor)
            return nil
        }
        return RawServer.Peer(descriptor: descriptor)
    }
}

extension RawServer.Peer {
    func waitForever() {
        var forever = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &forever, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Whoever reads or writes gets the end.
    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
