import AsyncRuntime
import Foundation
import Gateway
import Postgres
import Store

/// A private Postgres for one run, with fsync on, in a temporary folder that ends with it.
final class BenchmarkServer: Sendable {
    private let server: PrivatePostgres
    private let folder: String

    private init(server: PrivatePostgres, folder: String) {
        self.server = server
        self.folder = folder
    }

    static func start() async throws -> BenchmarkServer {
        // Short: a Unix socket's path has 107 bytes at most.
        let folder = NSTemporaryDirectory() + "lgw-benchmark-\(getpid())"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let settings = ["fsync": "on", "max_connections": "200", "shared_buffers": "512MB", "max_wal_size": "8GB"]
        // As root the server needs another user; the system user that Debian's package makes.
        let server = PrivatePostgres(
            directory: folder + "/postgres", runAs: geteuid() == 0 ? "postgres" : nil, settings: settings,
            isForTests: true)
        do {
            try await server.start(deadline: .after(.seconds(120)))
        } catch {
            await BenchmarkServer(server: server, folder: folder).stop()
            throw error
        }
        return BenchmarkServer(server: server, folder: folder)
    }

    /// Nothing of it is kept, so nothing is written down first.
    func stop() async {
        try? await server.stop(mode: .immediate, deadline: .after(.seconds(60)))
        // The server's processes may still be writing for a moment after it has ended.
        for _ in 0..<50 {
            try? FileManager.default.removeItem(atPath: folder)
            guard FileManager.default.fileExists(atPath: folder) else { return }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// On the server's own database.
    func pool(size: Int) -> Pool {
        Pool(url: server.url, size: size, applicationName: "gateway-benchmark")
    }

    /// A fresh database with the gateway's schema.
    func makeDatabase(_ name: String) async throws -> String {
        let administration = pool(size: 1)
        try await administration.run("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
        try await administration.run("CREATE DATABASE \(name)")
        await administration.close()
        let url = server.url.replacingOccurrences(
            of: "dbname=\(PrivatePostgres.databaseName)", with: "dbname=\(name)")
        let pool = Pool(url: url, size: 1, applicationName: "gateway-benchmark")
        try await GatewaySchema.migrator.apply(to: pool, deadline: .after(.seconds(60)))
        await pool.close()
        return url
    }

    func dropDatabase(_ name: String) async throws {
        let administration = pool(size: 1)
        try await administration.run("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
        await administration.close()
    }
}

extension Pool {
    /// For preparing and counting; may take long.
    func run(_ sql: String) async throws {
        try await query(
            Statement(name: "benchmark", sql: sql, isPrepared: false), deadline: .after(.seconds(3600)))
    }

    func scalar<T: PostgresDecodable>(_ sql: String, or fallback: T) async throws -> T {
        let statement = Statement(name: "benchmark", sql: "SELECT (\(sql)) AS value", isPrepared: false)
        return try await query(statement, deadline: .after(.seconds(3600))).first?.value("value") ?? fallback
    }
}
