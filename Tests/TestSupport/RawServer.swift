import AsyncRuntime
import Foundation

/// A TCP listener on loopback whose connections do what a test wants, byte by byte, each on a thread of its own.
package final class RawServer: Sendable {
    /// One accepted connection. Closed when the test's closure returns.
    package struct Peer: Sendable {
        let descriptor: Int32

        /// Some bytes; empty at the end, or when nothing came for 20 s.
        package func read() -> [UInt8] {
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            return Array(buffer[..<max(0, count)])
        }

        /// Until the end of the head of an HTTP message.
        package func readHead() -> String {
            var head: [UInt8] = []
            while head.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
                let bytes = read()
                guard !bytes.isEmpty else { break }
                head += bytes
            }
            return String(decoding: head, as: UTF8.self)
        }

        /// - Returns: false when the other end is gone.
        @discardableResult
        package func write(_ bytes: [UInt8]) -> Bool {
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    send(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return false }
                sent += count
            }
            return true
        }

        /// The next close is a TCP reset.
        package func resetOnClose() {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        }
    }

    package let port: Int
    private let descriptor: Int32

    /// - Parameter address: of IPv4, on loopback.
    /// - Parameter accepts: false: nobody accepts; with a backlog of 0, the second connection hangs in its SYN.
    package init(
        isIPv6: Bool = false, address: UInt32 = 0x7F00_0001, port wanted: Int = 0, backlog: Int32 = 64,
        accepts: Bool = true,
        _ behave: @escaping @Sendable (Peer) -> Void = { _ in }
    ) throws {
        let family = isIPv6 ? AF_INET6 : AF_INET
        let listener = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        descriptor = listener
        var one: Int32 = 1
        setsockopt(listener, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, isIPv6 ? 4 : 0)
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(family)
        var size = socklen_t(isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &storage) { pointer in
            if isIPv6 {
                pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    $0.pointee.sin6_addr = in6addr_loopback
                    $0.pointee.sin6_port = in_port_t(wanted).bigEndian
                }
            } else {
                pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    $0.pointee.sin_addr.s_addr = address.bigEndian
                    $0.pointee.sin_port = in_port_t(wanted).bigEndian
                }
            }
            return pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, backlog) == 0 && getsockname(listener, $0, &size) == 0
            }
        }
        guard bound else {
            close(listener)
            throw PeerError(description: "can't listen on loopback: \(String(cString: strerror(errno)))")
        }
        // The port stands at the same place for both families.
        port = withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Int(UInt16(bigEndian: $0.pointee.sin_port)) }
        }
        guard accepts else { return }
        BlockingCall.start {
            while true {
                let accepted = accept(listener, nil, nil)
                guard accepted >= 0 else { return }
                _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
                var patience = timeval(tv_sec: 20, tv_usec: 0)
                setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
                setsockopt(accepted, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
                var one: Int32 = 1
                setsockopt(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
                BlockingCall.start {
                    behave(Peer(descriptor: accepted))
                    close(accepted)
                }
            }
        }
    }

    deinit {
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }
}
