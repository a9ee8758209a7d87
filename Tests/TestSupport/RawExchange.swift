import Foundation

/// One TCP connection to a server on loopback, byte by byte: for requests that no library makes.
package enum RawExchange {
    /// Sends these bytes, and reads the answer until the server ends, for 20 s at the most between two pieces.
    /// - Returns: what came, also where the server ended before it had read everything; empty where nobody listens.
    package static func exchange(_ port: Int, _ bytes: [UInt8]) -> String {
        guard let peer = connect(port) else { return "" }
        defer { close(peer.descriptor) }
        peer.write(bytes)
        var answer: [UInt8] = []
        while case let bytes = peer.read(), !bytes.isEmpty { answer += bytes }
        return String(decoding: answer, as: UTF8.self)
    }

    /// Sends pieces of a body until the server has no more of them or `most` bytes are sent, and then ends.
    /// - Returns: how many bytes the system took.
    package static func flood(_ port: Int, head: String, piece: [UInt8], most: Int) -> Int {
        guard let peer = connect(port) else { return 0 }
        defer { close(peer.descriptor) }
        peer.write(Array(head.utf8))
        var sent = 0
        while sent < most, peer.write(piece) { sent += piece.count }
        return sent
    }

    private static func connect(_ port: Int) -> RawServer.Peer? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            close(descriptor)
            return nil
        }
        return RawServer.Peer(descriptor: descriptor)
    }
}
