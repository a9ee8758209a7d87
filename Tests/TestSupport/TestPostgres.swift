import AsyncRuntime
import Foundation
import Gateway
import Postgres
import struct Synchronization.Atomic
import Store

/// A private Postgres for the whole test run, started by the first test that needs it and stopped at the process's
/// exit.
package enum TestPostgres {
    private static let shared = Task { try await makeServer(settings: ["fsync": "off", "max_connections": "400"]) }
    private static let template = Task {
        let server = try await shared.value
        try await administer(server, "CREATE DATABASE template_gateway")
        let pool = Pool(url: url(server, "template_gateway"), size: 1)
        try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(60)))
        await pool.close()
    }
    private static let counter = Atomic(0)

    /// A server of its own, for tests that stop it.
    package static func makeServer(settings: [String: String] = ["fsync": "off"]) async throws -> PrivatePostgres {
        let directory = try TemporaryFolder.make("postgres") + "/own"
        // As root the server needs another user; the system user that Debian's package makes.
        let server = PrivatePostgres(
            directory: directory, runAs: geteuid() == 0 ? "postgres" : nil,
            settings: settings.merging(["max_connections": "400"]) { mine, _ in mine }, isForTests: true)
        ExitCleanup.addServer(directory)
        try await server.start(deadline: .after(.seconds(60)))
        return server
    }

    /// What a failover leaves: the server becomes a standby, which can be read, and another one has all its data and is
    /// the primary.
    /// - Returns: the new primary.
    package static func failOver(from server: PrivatePostgres) async throws -> PrivatePostgres {
        let deadline = Deadline.after(.seconds(60))
        try await server.stop(deadline: deadline)
        let directory = try TemporaryFolder.make("primary")
        chmod(directory, 0o700)
        try await tool("/bin/cp", "-a", server.directory + "/data", directory + "/data")
        try Data().write(to: URL(fileURLWithPath: server.directory + "/data/standby.signal"))
        try await server.start(deadline: deadline)
        let primary = PrivatePostgres(
            directory: directory, runAs: geteuid() == 0 ? "postgres" : nil,
            settings: ["fsync": "off", "max_connections": "400"], isForTests: true)
        ExitCleanup.addServer(directory)
        try await primary.start(deadline: deadline)
        return primary
    }

    private static func tool(_ words: String...) async throws {
        let result = try await ChildProcess.run(words[0], Array(words.dropFirst()), deadline: .after(.seconds(60)))
        guard result.status == 0 else {
            throw PeerError(description: String(decoding: result.errorOutput, as: UTF8.self))
        }
    }

    /// A fresh database with the gateway's schema; its URL.
    package static func makeDatabase() async throws -> String {
        let server = try await shared.value
        try await template.value
        let name = "test_\(counter.add(1, ordering: .relaxed).newValue)"
        try await administer(server, "CREATE DATABASE \(name) TEMPLATE template_gateway")
        return url(server, name)
    }

    /// A fresh database without any schema; its URL.
    package static func makeEmptyDatabase() async throws -> String {
        let server = try await shared.value
        let name = "empty_\(counter.add(1, ordering: .relaxed).newValue)"
        try await administer(server, "CREATE DATABASE \(name)")
        return url(server, name)
    }

    /// A database of an old version, with rows of every kind (Fixtures/database-016.sql); its URL.
    package static func makeOldDatabase() async throws -> String {
        let url = try await makeEmptyDatabase()
        let path = (#filePath as NSString).deletingLastPathComponent + "/Fixtures/database-016.sql"
        let deadline = Deadline.after(.seconds(30))
        let connection = try await Connection.connect(to: url, applicationName: "tests", deadline: deadline)
        try await connection.execute(
            script: try String(contentsOfFile: path, encoding: .utf8), name: "fixture", deadline: deadline)
        await connection.close()
        return url
    }

    package static func url(_ server: PrivatePostgres, _ database: String) -> String {
        server.url.replacingOccurrences(of: "dbname=\(PrivatePostgres.databaseName)", with: "dbname=\(database)")
    }

    private static func administer(_ server: PrivatePostgres, _ sql: String) async throws {
        let connection = try await Connection.connect(
            to: url(server, "postgres"), applicationName: "tests", deadline: .after(.seconds(20)))
        let statement = Statement(name: "administer", sql: sql, isPrepared: false)
        // Two copies of one template at the same time refuse each other.
        for _ in 0..<50 {
            do {
                try await connection.query(statement, deadline: .after(.seconds(20)))
                return await connection.close()
            } catch PostgresError.statement(let error) where error.sqlState == "55006" {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        await connection.close()
        throw PostgresError.connection("the template is busy")
    }
}

/// Folders that end with the test run.
package enum TemporaryFolder {
    package static func make(_ name: String) throws -> String {
        let root = ProcessInfo.processInfo.environment["LARK_GATEWAY_TEST_DIRECTORY"] ?? NSTemporaryDirectory()
        // Short: a Unix socket's path has 107 bytes at most.
        let path = root + "/lgw-\(name)-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        ExitCleanup.addFolder(path)
        return path
    }
}

/// What the test process leaves behind nothing of, also when tests fail.
package enum ExitCleanup {
    private struct State {
        var isRegistered = false
        var processes: [pid_t] = []
        var servers: [String] = []
        var folders: [String] = []
        var mounts: [String] = []
    }

    private static let state = Mutex(State())

    /// Kills the process at the end, if it still runs: a test that failed left it.
    package static func addProcess(_ pid: pid_t) {
        register { $0.processes.append(pid) }
    }

    package static func removeProcess(_ pid: pid_t) {
        state.withLock { $0.processes.removeAll { $0 == pid } }
    }

    package static func addServer(_ directory: String) {
        register { $0.servers.append(directory) }
    }

    package static func addMount(_ path: String) {
        register { $0.mounts.append(path) }
    }

    static func addFolder(_ path: String) {
        register { $0.folders.append(path) }
    }

    private static func register(_ update: (inout State) -> Void) {
        state.withLock { state in
            update(&state)
            guard !state.isRegistered else { return }
            state.isRegistered = true
            atexit { ExitCleanup.run() }
        }
    }

    private static func run() {
        let (processes, servers, folders, mounts) = state.withLock {
            ($0.processes, $0.servers, $0.folders, $0.mounts)
        }
        for pid in processes { kill(pid, SIGKILL) }
        for server in servers {
            // The first line of postmaster.pid is the server's process; SIGQUIT is its immediate shutdown.
            let path = server + "/data/postmaster.pid"
            guard let text = try? String(contentsOfFile: path, encoding: .utf8),
                let pid = text.split(separator: "\n").first.flatMap({ Int32($0) })
            else { continue }
            kill(pid, SIGQUIT)
            for _ in 0..<100 where kill(pid, 0) == 0 { usleep(20_000) }
        }
        for path in mounts { umount2(path, Int32(MNT_DETACH)) }
        for folder in folders { try? FileManager.default.removeItem(atPath: folder) }
    }
}
