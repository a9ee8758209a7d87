import AsyncRuntime
import Foundation

/// An address that can be moved from one Postgres server to another. Who is connected stays with the old one, as with a
/// name in DNS or an address before a load balancer.
package final class MovableAddress: Sendable {
    package let url: String
    private final class Target: Sendable {
        let path: Mutex<String>
        init(_ path: String) { self.path = Mutex(path) }
    }

    private let target: Target
    private let server: RawServer

    /// - Parameter url: of a database on a server that is reached by Unix socket.
    package init(of url: String) throws {
        let target = Target(try UnixSocket.path(in: url))
        self.target = target
        server = try RawServer { client in
            guard let upstream = UnixSocket.connect(target.path.withLock { $0 }) else { return }
            client.waitForever()
            let isRead = DispatchSemaphore(value: 0)
            BlockingCall.start {
                while case let bytes = client.read(), !bytes.isEmpty, upstream.write(bytes) {}
                upstream.hangUp()
                isRead.signal()
            }
            while case let bytes = upstream.read(), !bytes.isEmpty, client.write(bytes) {}
            client.hangUp()
            // Nobody else may have their numbers while they are in use.
            isRead.wait()
            close(upstream.descriptor)
        }
        self.url = UnixSocket.url(url, onPort: server.port)
    }

    /// - Parameter url: of the database on its new server.
    package func move(to url: String) throws {
        let path = try UnixSocket.path(in: url)
        target.path.withLock { $0 = path }
    }
}
