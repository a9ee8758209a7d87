import AsyncRuntime
import Foundation
import Postgres

/// The real PgBouncer from Debian; unless told otherwise in transaction mode, with few server connections, so that
/// sessions are really shared.
package final class TestPooler: Sendable {
    package let port: Int
    private let process: PeerProcess
    private let log: String

    /// - Parameter url: of a database on a server that is reached by Unix socket.
    /// - Parameter mode: `session`, `transaction` or `statement`.
    /// - Parameter takesTurns: a server connection is given out when all others were, instead of again at once.
    package init(
        to url: String, mode: String = "transaction", serverConnections: Int = 2, takesTurns: Bool = false
    ) async throws {
        port = try PeerProcess.freePort()
        let folder = try TemporaryFolder.make("pooler")
        chmod(folder, 0o777)
        log = folder + "/log"
        let target = url.split(separator: " ").filter { !$0.hasPrefix("user=") }.joined(separator: " ")
        try """
        [databases]
        pooled = \(target) user=lark_gateway
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = \(port)
        unix_socket_dir =
        auth_type = any
        pool_mode = \(mode)
        server_round_robin = \(takesTurns ? 1 : 0)
        default_pool_size = \(serverConnections)
        max_client_conn = 100
        logfile = \(log)

        """.write(toFile: folder + "/pgbouncer.ini", atomically: true, encoding: .utf8)
        let command = ["/usr/sbin/pgbouncer", "-q", folder + "/pgbouncer.ini"]
        // It refuses to run as root, as Postgres does.
        let words =
            geteuid() == 0
            ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + command : command
        process = PeerProcess(words[0], Array(words.dropFirst()))
        guard try await PeerProcess.listening(on: port) else {
            throw PeerError(description: "no PgBouncer: \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")")
        }
    }

    package var url: String { "host=127.0.0.1 port=\(port) dbname=pooled user=lark_gateway" }

    package func stop() async { await process.stop() }
}
