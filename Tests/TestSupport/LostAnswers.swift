import AsyncRuntime
import Foundation
import Postgres

/// A wire to Postgres that can lose an answer: the server did what it was asked and committed it, and who asked never hears
/// of it, because the connection breaks before.
package final class LostAnswers: Sendable {
    private struct Target {
        let statement: [UInt8]
        let text: [UInt8]
    }

    private final class State: Sendable {
        let target = Mutex<Target?>(nil)
    }

    package let url: String
    private let state: State
    private let server: RawServer

    /// - Parameter url: of a database on a server that is reached by Unix socket.
    package init(before url: String) throws {
        let words = url.split(separator: " ")
        guard let folder = words.first(where: { $0.hasPrefix("host='") })?.dropFirst(6).dropLast() else {
            throw PeerError(description: "no Unix socket in \(url)")
        }
        let state = State()
        self.state = state
        let path = folder + "/.s.PGSQL.5432"
        server = try RawServer { client in
            guard let upstream = Self.connect(path) else { return }
            Self.waitForever(client)
            // Whether the answer that comes is the target's.
            let isAsked = IsAsked()
            let isRead = DispatchSemaphore(value: 0)
            BlockingCall.start {
                while case let bytes = client.read(), !bytes.isEmpty {
                    // Before it is asked: the answer may be quick.
                    let isTarget = state.target.withLock {
                        $0.map { bytes.firstRange(of: $0.statement) != nil } ?? false
                    }
                    isAsked.value.withLock { $0 = isTarget }
                    guard upstream.write(bytes) else { break }
                }
                shutdown(upstream.descriptor, Int32(SHUT_RDWR))
                isRead.signal()
            }
            while case let bytes = upstream.read(), !bytes.isEmpty {
                // A small answer comes in one piece, when all is committed.
                let isTarget = isAsked.value.withLock { $0 }
                let isLost = state.target.withLock { target in
                    guard isTarget, let text = target?.text, bytes.firstRange(of: text) != nil else { return false }
                    target = nil
                    return true
                }
                guard !isLost, client.write(bytes) else { break }
            }
            shutdown(client.descriptor, Int32(SHUT_RDWR))
            // Nobody else may have their numbers while they are in use.
            isRead.wait()
            close(upstream.descriptor)
        }
        let rest = words.filter { !$0.hasPrefix("host=") && !$0.hasPrefix("port=") }.joined(separator: " ")
        self.url = "host=127.0.0.1 port=\(server.port) \(rest)"
    }

    /// The next answer to this statement that says `text` is lost.
    package func loseNext(_ statement: String, saying text: String) {
        state.target.withLock { $0 = Target(statement: Array(statement.utf8), text: Array(text.utf8)) }
    }

    package var isLost: Bool { state.target.withLock { $0 == nil } }

    private final class IsAsked: Sendable {
        let value = Mutex(false)
    }

    private static func connect(_ path: Substring) -> RawServer.Peer? {
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

    private static func waitForever(_ peer: RawServer.Peer) {
        var forever = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(peer.descriptor, SOL_SOCKET, SO_RCVTIMEO, &forever, socklen_t(MemoryLayout<timeval>.size))
    }
}
