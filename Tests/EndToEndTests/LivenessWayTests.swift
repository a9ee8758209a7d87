import AsyncRuntime
import Curl
import Foundation
import Gateway
import TestSupport
import Testing

/// What systemd's watchdog and `/healthz` go by.
@Suite("Whether the daemon is alive")
struct LivenessWayTests {
    /// What systemd heard, and has not been looked at yet.
    private struct Systemd {
        let socket: NotifySocket
        private let heard = Recorder<String>()

        init() throws {
            socket = try NotifySocket()
        }

        var variables: [String: String] { ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "2000000"] }

        /// Everything until now.
        var all: [String] {
            while let datagram = socket.next() { heard.record(datagram) }
            return heard.all
        }

        var beats: Int { all.filter { $0 == "WATCHDOG=1" }.count }

        func beatsOn() async throws -> Bool {
            let before = beats
            return try await eventually { beats > before + 1 }
        }
    }

    private func get(_ path: String, _ daemon: Daemon) async throws -> (status: Int, text: String) {
        let port = try #require(daemon.events("metrics.listening").first?["port"].integer)
        let url = try #require(URL(string: "http://127.0.0.1:\(port)\(path)"))
        let answer = try await HTTPExchange(timeout: .seconds(30)).send("GET", url)
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    /// A machine that is busy for a second makes it 503 for a moment.
    private func isHealthy(_ daemon: Daemon) async throws -> Bool {
        try await eventually { try await get("/healthz", daemon).status == 200 }
    }

    /// Holds one thread of a process, as a debugger does, until it is let go.
    private struct HeldThread {
        private static let script = """
            import ctypes, os, sys, time
            pid, name, ready = sys.argv[1:]
            ptrace = ctypes.CDLL(None, use_errno=True).ptrace
            ptrace.argtypes, ptrace.restype = [ctypes.c_long] * 4, ctypes.c_long
            threads = [t for t in os.listdir(f"/proc/{pid}/task") if open(f"/proc/{pid}/task/{t}/comm").read().strip() == name]
            # PTRACE_SEIZE, PTRACE_INTERRUPT: the end of this process lets it go on.
            held = [t for t in threads if ptrace(0x4206, int(t), 0, 0) == 0 and ptrace(0x4207, int(t), 0, 0) == 0]
            open(ready, "w").write(str(len(held)))
            time.sleep(600)
            """
        private let holder: PeerProcess

        init(named name: String, of daemon: Daemon) async throws {
            let ready = try TemporaryFolder.make("held") + "/ready"
            let pid = try #require(daemon.processID)
            holder = PeerProcess("/usr/bin/python3", ["-c", Self.script, "\(pid)", name, ready])
            let isHeld = try await eventually { (try? String(contentsOfFile: ready, encoding: .utf8)) == "1" }
            try #require(isHeld, "one thread is called \(name), and root may hold it")
        }

        func letGo() async { await holder.stop() }
    }

    @Test(
        "a thread that hangs ends the watchdog's beats, though others run, and /healthz names the part; when it goes on, they come again",
        .enabled(if: geteuid() == 0, "holding a thread of a hidden process takes root"))
    func heldThread() async throws {
        let stage = try await Stage()
        let systemd = try Systemd()
        let daemon = try Daemon(
            ["run", "--config", try Daemon.file(stage.configuration())], environment: systemd.variables)
        #expect(try await daemon.logs("connection.opened"))
        #expect(try await systemd.beatsOn())
        #expect(try await isHealthy(daemon))

        let thread = try await HeldThread(named: "sockets", of: daemon)
        let isSeen = try await eventually { try await get("/healthz", daemon).status == 503 }
        #expect(isSeen)
        let beats = systemd.beats
        let isNamed = try await eventually {
            try await get("/healthz", daemon).text.hasPrefix("sockets: no answer for 2 s")
        }
        #expect(isNamed)
        #expect(systemd.beats == beats)

        await thread.letGo()
        #expect(try await systemd.beatsOn())
        #expect(try await isHealthy(daemon))
        #expect(await daemon.stop() == 0)
        await stage.end()
    }

    @Test("a database that is away is no reason to start the daemon again: /readyz alone says so")
    func databaseAway() async throws {
        let server = try await TestPostgres.makeServer()
        let stage = try await Stage(url: server.url)
        let systemd = try Systemd()
        let daemon = try Daemon(
            ["run", "--config", try Daemon.file(stage.configuration())], environment: systemd.variables)
        #expect(try await daemon.logs("connection.opened"))
        try await server.stop(mode: .immediate, deadline: .after(.seconds(30)))
        #expect(try await eventually { try await get("/readyz", daemon).status == 503 })
        #expect(try await systemd.beatsOn())
        #expect(try await isHealthy(daemon))
        await stage.end(daemon)
    }

    @Test(
        "the private Postgres that ends: systemd shows each attempt; /healthz is 200 until it is given up, /readyz 503; one that comes back is forgotten"
    )
    func ownPostgres() async throws {
        let place = try await OwnPostgresPlace()
        let systemd = try Systemd()
        chmod(systemd.socket.path, 0o777)
        let daemon = try place.run(environment: systemd.variables)
        let isConnected = try await daemon.logs("connection.opened")
        try #require(isConnected, "\(daemon.output)")
        @Sendable func shows(_ text: String, after count: Int = 0) async throws -> Bool {
            try await eventually(within: .seconds(60)) {
                systemd.all.dropFirst(count).contains { $0.hasSuffix("STATUS=" + text) }
            }
        }
        #expect(try await shows("1 installations"))

        // Stopped by hand in the way that waits for every connection.
        let before = systemd.all.count
        kill(try #require(place.postmaster), SIGTERM)
        #expect(try await shows("Postgres ended, starting it again (attempt 1)", after: before))
        #expect(try await shows("1 installations", after: before))
        #expect(daemon.events("postgres.ended").map { $0["how"].string } == ["stopped"])
        #expect(try await eventually { try await get("/readyz", daemon).status == 200 })

        let postmaster = try #require(place.postmaster)
        try FileManager.default.moveItem(atPath: place.data, toPath: place.data + ".away")
        kill(postmaster, SIGKILL)
        #expect(try await shows("Postgres ended, starting it again (attempt 3)"))
        #expect(try await isHealthy(daemon))
        #expect(try await get("/readyz", daemon).status == 503)
        #expect(try await systemd.beatsOn())
        #expect(try await shows("Postgres can't be started again, stopping"))
        #expect(try await get("/healthz", daemon) == (503, "Postgres can't be started again\n"))
        #expect(await daemon.ended() == 1)
        await place.stage.end()
    }
}
