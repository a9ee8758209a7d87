import AsyncRuntime
import CLibmicrohttpd
import Dispatch
import Foundation
import struct Synchronization.Atomic

/// A connection that has left HTTP (RFC 9110, section 7.8). One reader and one writer at a time.
package final class UpgradedSocket: Sendable {
    private let descriptor: Int32
    private let readiness: SocketReadiness
    // libmicrohttpd's handle: used once, in `close`.
    nonisolated(unsafe) private let handle: OpaquePointer
    /// What the peer sent right behind its request.
    private let early: Mutex<[UInt8]>
    private let isOpen = Atomic(true)
    private let onClose: @Sendable () -> Void

    init(descriptor: Int32, handle: OpaquePointer, early: [UInt8], onClose: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.handle = handle
        self.early = Mutex(early)
        self.onClose = onClose
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        readiness = SocketReadiness(descriptor: descriptor)
    }

    /// Some bytes; empty at the end of the stream or when the connection is broken, closed or the task cancelled.
    package func read() async -> [UInt8] {
        let first = early.withLock { early in
            defer { early = [] }
            return early
        }
        if !first.isEmpty { return first }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            guard await readiness.wait(for: .read, until: nil) == .ready else { return [] }
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if count >= 0 { return Array(buffer[..<count]) }
            guard errno == EAGAIN || errno == EINTR else { return [] }
        }
    }

    /// - Returns: false when the connection is broken or closed.
    package func write(_ bytes: [UInt8]) async -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else {
                guard errno == EAGAIN || errno == EINTR else { return false }
                guard await readiness.wait(for: .write, until: .after(.seconds(10))) == .ready else { return false }
            }
        }
        return true
    }

    /// Has the next `close` send a TCP reset instead of a clean end.
    package func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Ends the connection; later calls do nothing.
    package func close() {
        guard isOpen.exchange(false, ordering: .acquiringAndReleasing) else { return }
        readiness.invalidate()
        _ = lgw_http_close_upgraded(handle)
        onClose()
    }
}
