import Foundation
import Postgres
import TestSupport
import Testing

/// A simulated Lark, and the state directory of daemons without `database_url`.
struct OwnPostgresPlace {
    let stage: Stage
    let state: String
    let user = geteuid() == 0 ? "postgres" : nil

    /// - Parameter directory: where the state is; nil: in a new folder.
    init(in directory: String? = nil) async throws {
        stage = try await Stage()
        state = try directory ?? TemporaryFolder.make("state")
        if let user { chown(state, try #require(getpwnam(user)).pointee.pw_uid, gid_t.max) }
    }

    var data: String { state + "/postgres/data" }

    func run(metrics port: Int = 0, extra: String = "", environment: [String: String] = [:]) throws -> Daemon {
        let keys = ", \"state_directory\": \"\(state)\"" + extra
        let text = stage.configuration(database: false, extra: keys)
            .replacingOccurrences(of: "127.0.0.1:0", with: "127.0.0.1:\(port)")
        let file = try Daemon.file(text, for: user)
        return try Daemon(["run", "--config", file], user: user, environment: environment)
    }

    /// Runs another command on the same configuration.
    func command(_ word: String) async throws -> (status: Int32, output: String) {
        let keys = ", \"state_directory\": \"\(state)\""
        let file = try Daemon.file(stage.configuration(database: false, extra: keys), for: user)
        let command = try Daemon([word, "--config", file], user: user)
        return (await command.ended(), command.output)
    }

    func start() async throws -> Daemon {
        let daemon = try run()
        let isConnected = try await daemon.logs("connection.opened")
        try #require(isConnected, "\(daemon.output)")
        return daemon
    }

    /// The postmaster that the data directory names.
    var postmaster: pid_t? {
        let text = try? String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8)
        return text?.split(separator: "\n").first.flatMap { pid_t($0) }
    }

    /// Also one that has no file yet: its processes work in the data directory.
    var isPostgresRunning: Bool {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.contains {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/cwd")) == data
        }
    }

    /// The text of each message in the daemon's own database, in order.
    func messages() async throws -> [String] {
        let pool = Pool(url: PrivatePostgres(directory: state + "/postgres").url, size: 1)
        let rows = try await pool.rows(
            "SELECT content FROM gateway.chat_message WHERE role = 'user' ORDER BY position")
        await pool.close()
        return rows
    }
}
