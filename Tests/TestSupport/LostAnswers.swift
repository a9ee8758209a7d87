import AsyncRuntime
import Foundation
import Postgres

/// A wire to Postgres that can lose an answer: the server did what it was asked and committed it, and who asked never
/// hears of it, because the connection breaks before.
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
        let path = try UnixSocket.path(in: url)
        let state = State()
        self.state = state
        server = try RawServer { client in
            guard let upstream = UnixSocket.connect(path) else { return }
            client.waitForever()
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
        self.url = UnixSocket.url(url, onPort: server.port)
    }

    /// The next answer to this statement that says `text` is lost.
    package func loseNext(_ statement: String, saying text: String) {
        state.target.withLock { $0 = Target(statement: Array(statement.utf8), text: Array(text.utf8)) }
    }

    package var isLost: Bool { state.target.withLock { $0 == nil } }

    private final class IsAsked: Sendable {
        let value = Mutex(false)
    }
}
