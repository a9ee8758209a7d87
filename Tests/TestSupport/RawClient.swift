import AsyncRuntime
import Foundation

/// A TCP connection to a port on loopback, whose bytes are a test's own. Closed when it is let go.
package final class RawClient: Sendable {
    private let peer: RawServer.Peer

    /// - Parameter address: of IPv4, on loopback, that it comes from.
    /// - Throws: `PeerError` where nobody listens.
    package init(port: Int, from address: UInt32 = 0x7F00_0001) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        peer = RawServer.Peer(descriptor: descriptor)
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        func name(_ address: UInt32, _ port: Int) -> sockaddr_in {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
            name.sin_addr.s_addr = address.bigEndian
            return name
        }
        func call(_ name: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Bool {
            withUnsafePointer(to: name) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
        guard call(name(address, 0), { bind(descriptor, $0, $1) }),
            call(name(0x7F00_0001, port), { connect(descriptor, $0, $1) })
        else { throw PeerError(description: "no connection to \(port): \(String(cString: strerror(errno)))") }
    }

    deinit {
        close(peer.descriptor)
    }

    /// - Returns: false when the other end is gone.
    @discardableResult
    package func write(_ text: String) async -> Bool {
        await BlockingCall.run { [peer] in peer.write(Array(text.utf8)) }
    }

    /// All that comes until the other end closes, or is silent for 20 s.
    package func readToEnd() async -> String {
        await BlockingCall.run { [peer] in
            var bytes: [UInt8] = []
            while true {
                let more = peer.read()
                guard !more.isEmpty else { break }
                bytes += more
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Until the end of the head of an HTTP message, or of the connection.
    package func readHead() async -> String {
        await BlockingCall.run { [peer] in peer.readHead() }
    }
}
