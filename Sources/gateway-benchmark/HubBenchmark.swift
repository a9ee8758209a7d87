import AsyncRuntime
import CAllocationCount
import Foundation
import Gateway
import Lark
import Postgres
import Store

/// Many bots on one replica: how long until all are connected, and what they cost while nothing happens. The table
/// holds ten times as many installations, of another replica.
struct HubBenchmark {
    let server: BenchmarkServer
    let isQuick: Bool

    private var bots: Int { isQuick ? 100 : 1_000 }
    private var seconds: Int { isQuick ? 5 : 30 }

    private struct Cost {
        var connected: Duration = .zero
        var memory = 0.0
        var cpu = 0.0
        var transactions = 0.0
    }

    func run() async throws -> [Reading] {
        let folder = NSTemporaryDirectory() + "lgw-hub-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let platform = try await RunningPeer(folder: folder, name: "platform", words: [PlatformPeer.word], ["\(bots)"])
        do {
            let one = try await cost(of: 1, platform.port)
            let many = try await cost(of: bots, platform.port)
            await platform.stop()
            return [
                Reading(.hub, "\(bots) bots connected, from the start", many.connected.seconds, "s"),
                Reading(.hub, "memory of \(bots) bots without TLS", (many.memory - one.memory) / 1_048_576, "MiB"),
                Reading(.hub, "CPU of \(bots) idle bots", many.cpu * 100, "% of a core"),
                Reading(
                    .hub, "transactions a minute, idle, to one bot's", many.transactions, "1/min",
                    reference: one.transactions),
            ]
        } catch {
            await platform.stop()
            throw error
        }
    }

    private func cost(of count: Int, _ port: Int) async throws -> Cost {
        let url = try await server.makeDatabase("hub_\(count)")
        let pool = Pool(url: url, size: 1, applicationName: "gateway-benchmark")
        try await addOthers(10 * count, pool)
        guard let domain = URL(string: "http://127.0.0.1:\(port)") else { throw BenchmarkError("no URL") }
        var settings = GatewaySettings(
            databaseURL: url, agents: [],
            installations: (0..<count).map { number in
                let app = PlatformPeer.app(number)
                return InstallationSettings(
                    appID: app.id, appSecret: app.secret, domain: domain, workspace: "acme", agent: "support",
                    access: .open, locale: .en)
            })
        settings.shutdownTimeout = .seconds(60)
        let log = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer { close(log) }
        let metrics = Metrics()
        let before = lgw_allocated_bytes()
        let gateway = Gateway(
            settings, logger: LogWriter(settings: LogSettings(), descriptor: log).logger, metrics: metrics)
        let stop = AsyncEvent()
        var cost = Cost()
        let began = ContinuousClock.now
        try await gateway.prepare()
        let running = Task { await gateway.run(until: stop) }
        let deadline = Deadline.after(.seconds(120))
        while metrics.value(.installations, "connected") < count, !deadline.hasPassed {
            try await Task.sleep(for: .milliseconds(20))
        }
        guard !deadline.hasPassed else { throw BenchmarkError("not all bots were connected within 120 s") }
        cost.connected = began.duration(to: .now)
        // The states are written, the first pongs have come, and the server's backends have counted what they did so
        // far, which they do within 10 s when they are idle.
        try await Task.sleep(for: .seconds(isQuick ? 5 : 15))
        cost.memory = Double(lgw_allocated_bytes()) - Double(before)
        let cpu = ConnectionsBenchmark.cpuSeconds()
        let transactions = try await Self.transactions(pool)
        try await Task.sleep(for: .seconds(seconds))
        cost.cpu = (ConnectionsBenchmark.cpuSeconds() - cpu) / Double(seconds)
        cost.transactions = (try await Self.transactions(pool) - transactions) * 60 / Double(seconds)
        stop.set()
        _ = await running.value
        await pool.close()
        return cost
    }

    /// Installations that another replica has.
    private func addOthers(_ count: Int, _ pool: Pool) async throws {
        try await pool.run("INSERT INTO gateway.workspace (name) VALUES ('others')")
        try await pool.run(
            "INSERT INTO gateway.agent (workspace_id, name, origin) SELECT id, 'other', 'command' FROM gateway.workspace"
        )
        try await pool.run(
            "INSERT INTO gateway.replica (holder, expires_at) VALUES ('elsewhere', now() + interval '1 day')")
        try await pool.run(
            """
            INSERT INTO gateway.installation
                (app_id, workspace_id, agent_id, domain, locale, access, origin, lease_holder, lease_expires_at)
            SELECT 'cli_other_' || n, a.workspace_id, a.id, 'https://x', 'en', 'open', 'command', 'elsewhere',
                now() + interval '1 day'
            FROM generate_series(1, \(count)) n, gateway.agent a
            """)
    }

    /// Committed so far in this database; the server counts them a second or so late.
    private static func transactions(_ pool: Pool) async throws -> Double {
        try await Task.sleep(for: .seconds(2))
        let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        let rows = try await pool.query(Statement(name: "transactions", sql: sql), deadline: .after(.seconds(10)))
        return Double(try rows.first?.value("xact_commit", as: Int64.self) ?? 0)
    }
}
