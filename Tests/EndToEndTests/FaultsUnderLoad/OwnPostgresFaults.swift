import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

/// What can happen to the private Postgres of a daemon without `database_url`, which has nobody else to start it again.
extension FaultsUnderLoad {
    /// How its server, or a part of it, ends.
    enum Ending: String, CaseIterable, CustomTestStringConvertible {
        /// As by the kernel, for want of memory.
        case killedPostmaster
        case killedBackend
        /// As by `pg_ctl stop -m smart`, `fast` and `immediate`.
        case smartStop
        case fastStop
        case immediateStop

        var testDescription: String { rawValue }

        /// What the postmaster gets; nil: the postmaster goes on.
        var signal: Int32? {
            switch self {
            case .killedPostmaster: SIGKILL
            case .killedBackend: nil
            case .smartStop: SIGTERM
            case .fastStop: SIGINT
            case .immediateStop: SIGQUIT
            }
        }
    }

    @Test(
        "I1, I4: the daemon's own Postgres ends, and is started again by the daemon; nothing is lost",
        arguments: Ending.allCases)
    func endedOwnPostgres(_ ending: Ending) async throws {
        let gateway = try await LoadedGateway("own Postgres, \(ending)", state: try TemporaryFolder.make("state"))
        try await gateway.eachRound(FaultSettings.rounds(full: 10)) { gateway in
            let daemon = gateway.daemon
            let ended = daemon.events("postgres.ended").count
            guard let signal = ending.signal else {
                try await killBackend(of: gateway)
                try await gateway.moreMessages(30)
                // Postgres itself has made its processes anew.
                #expect(daemon.events("postgres.ended").count == ended)
                return try await gateway.daemonWorksAgain()
            }
            kill(try #require(gateway.server.processID), signal)
            let isNoticed = try await daemon.logs("postgres.ended", count: ended + 1, within: .seconds(60))
            #expect(isNoticed, "\(daemon.output.suffix(2_000))")
            let how = daemon.events("postgres.ended").last?["how"].string
            #expect(how == (ending == .killedPostmaster ? "killed" : "stopped"))
            try await gateway.daemonWorksAgain()
        }
        try await gateway.end()
    }

    /// One that the gateway or the worker has a connection to.
    private func killBackend(of gateway: LoadedGateway) async throws {
        let backends = try await gateway.stage.rows(
            """
            SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'lark-gateway%' AND pid <> pg_backend_pid()
            """)
        let victim = try #require(backends.randomElement(using: &gateway.random))
        kill(try #require(pid_t(victim.trimmingCharacters(in: ["(", ")"]))), SIGKILL)
    }

    @Test(
        "its own Postgres ends after each start: the daemon ends with 1, and what systemd starts then goes on",
        .enabled(if: FaultSettings.isFull, "takes a minute; scripts/faults"))
    func crashLoop() async throws {
        let gateway = try await LoadedGateway("own Postgres, crash loop", state: try TemporaryFolder.make("state"))
        try await gateway.eachRound(FaultSettings.rounds(full: 3)) { gateway in
            let daemon = gateway.daemon
            var starts = 0
            while daemon.events("postgres.given_up").isEmpty, starts < 10 {
                starts += 1
                _ = try await eventually(within: .seconds(60)) { [starts] in
                    daemon.events("postgres.started").count >= starts || !daemon.events("postgres.given_up").isEmpty
                }
                if let postmaster = gateway.server.processID { kill(postmaster, SIGKILL) }
            }
            let (started, ended) = (daemon.events("postgres.started").count, daemon.events("postgres.ended").count)
            #expect(started == ended && started > 1, "one event for each end")
            // Where the dead server is not reaped at once, an attempt fails. The last failure is the giving up itself.
            let attempts = started - 1 + daemon.events("postgres.start_failed").count
            #expect((4...5).contains(attempts), "\(started) starts")
            #expect(await daemon.ended() == 1)
            try await gateway.restartDaemon()
        }
        try await gateway.end()
    }

    @Test(
        "the disk of its own Postgres is full, also when that is started again: nothing is lost, and it goes on when there is room",
        .enabled(if: SmallDisk.isPossible, "mounting a tmpfs takes root"))
    func fullDiskOfOwnPostgres() async throws {
        let disk = try await SmallDisk.make(mebibytes: 192)
        let gateway = try await LoadedGateway("own Postgres, full disk", state: disk.path)
        var isKilled = false
        try await gateway.eachRound(FaultSettings.rounds(full: 8)) { gateway in
            let daemon = gateway.daemon
            let (ended, failed) = (daemon.events("postgres.ended").count, daemon.events("ingest.failed").count)
            try disk.fill()
            let isFull = try await eventually(within: .seconds(60)) {
                daemon.events("postgres.ended").count > ended
                    || daemon.events("ingest.failed").dropFirst(failed).contains {
                        $0["error"].string?.contains("53100") == true
                    }
            }
            #expect(isFull, "the disk got full")
            // Every other time the server ends, if it has not ended by itself, and finds a full disk at its start.
            if isKilled, let postmaster = gateway.server.processID { kill(postmaster, SIGKILL) }
            isKilled.toggle()
            try await gateway.moreMessages(100)
            try disk.free()
            try await gateway.daemonWorksAgain()
        }
        try await gateway.end()
        await disk.remove()
    }
}
