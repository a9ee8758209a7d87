import AsyncRuntime
import Foundation
import Postgres
import TestSupport
import Testing

/// As in production: the daemon and its Postgres are one user, the worker and its command another, without rights.
@Suite("A worker of its own user on the daemon's own Postgres", .enabled(if: geteuid() == 0))
struct PrivateWorkerTests {
    private static let (daemonUser, workerUser) = ("postgres", "www-data")

    private struct Place {
        let stage: Stage
        let state: String
        let run: String

        /// The daemon is in no group but its own, so an administrator gives the folder to the worker's.
        init() async throws {
            stage = try await Stage()
            state = try TemporaryFolder.make("state")
            run = try TemporaryFolder.make("run")
            let daemon = try #require(getpwnam(PrivateWorkerTests.daemonUser)).pointee
            let worker = try #require(getpwnam(PrivateWorkerTests.workerUser)).pointee
            chmod(state, 0o700)
            mkdir(door, 0o710)
            for (path, group) in [(state, daemon.pw_gid), (run, daemon.pw_gid), (door, worker.pw_gid)] {
                chown(path, daemon.pw_uid, group)
            }
            chmod(door, 0o710)
        }

        var door: String { run + "/" + PrivateWorkerTests.workerUser }

        func configuration(runtimes: String = #"["default"]"#) -> String {
            let workers = #"[{"user": "\#(PrivateWorkerTests.workerUser)", "runtimes": \#(runtimes)}]"#
            return stage.configuration(
                database: false,
                extra: #"""
                    , "state_directory": "\#(state)",
                    "workers": \#(workers), "socket_directory": "\#(run)"
                    """#)
        }

        func start(_ configuration: String) async throws -> Daemon {
            let daemon = try Daemon.run(configuration, user: PrivateWorkerTests.daemonUser)
            let isConnected = try await daemon.logs("connection.opened")
            try #require(isConnected, "\(daemon.output)")
            return daemon
        }

        func worker(_ script: String, runtime: String = "default") throws -> Daemon {
            let file = try Daemon.file(
                #"{"database_url": "host=\#(door) port=5432 dbname=lark_gateway"}"#, for: PrivateWorkerTests.workerUser)
            return try Daemon(
                ["worker", "--config", file, "--runtime", runtime, "--", "/bin/sh", "-c", script],
                user: PrivateWorkerTests.workerUser)
        }
    }

    @Test("it answers; what the file gives and takes of runtimes counts, and is in the log")
    func way() async throws {
        let place = try await Place()
        let daemon = try await place.start(place.configuration())
        let given = try #require(try await daemon.logged("worker_role.added").first)
        #expect(given["role_name"].string == "www-data" && given["runtime_id"].string == "default")
        let worker = try place.worker(Stage.echo)
        await place.stage.say("hello")
        #expect(await place.stage.sent(1).first?.content.contains("hello") == true, "\(worker.output)")
        #expect(worker.events("database.unavailable").isEmpty, "\(worker.output)")
        #expect(await daemon.stop() == 0)

        let next = try await place.start(place.configuration(runtimes: #"["elsewhere"]"#))
        #expect(try await next.logged("worker_role.removed").first?["runtime_id"].string == "default")
        let isRefused = try await eventually(within: .seconds(30)) {
            worker.events("database.unavailable").contains { $0["error"].string?.contains("42501") == true }
                || worker.events("database.unavailable").count > 0
        }
        #expect(isRefused)
        await place.stage.say("and now?")
        #expect(try await next.logs("task.queued"))
        #expect(await worker.stop() == 0)
        #expect(await place.stage.simulator.sentMessages.count == 1)
        #expect(await next.stop() == 0)
        await place.stage.end()
    }

    @Test("its command reads nothing of the daemon's, and ends nothing: files, sockets, environment, memory, processes")
    func hostileCommand() async throws {
        let place = try await Place()
        let daemon = try await place.start(place.configuration())
        let pid = try #require(daemon.processID)
        let postmaster = try #require(PrivatePostgres(directory: place.state + "/postgres").processID)
        // Every line that it says is something that it should not have had.
        let script = """
            for path in \(place.state) \(place.state)/postgres \(place.state)/postgres/data \
                \(place.state)/postgres/socket \(place.state)/postgres/postgres.log \(place.state)/lark-gateway.lock; do
                ls "$path" >/dev/null 2>&1 && echo "list $path"; cat "$path" >/dev/null 2>&1 && echo "read $path"
            done
            ls \(place.door) >/dev/null 2>&1 && echo "list the folder of the socket"
            touch \(place.door)/mine \(place.run)/mine 2>/dev/null && echo "write beside the socket"
            rm -f \(place.door)/.s.PGSQL.5432 2>/dev/null && echo "remove the socket"
            for pid in \(pid) \(postmaster) $PPID; do
                for file in environ mem maps; do
                    dd if=/proc/$pid/$file of=/dev/null bs=1 count=0 2>/dev/null && echo "open /proc/$pid/$file"
                done
                for link in cwd exe root; do readlink /proc/$pid/$link && echo "follow /proc/$pid/$link"; done
                ls /proc/$pid/fd >/dev/null 2>&1 && echo "list /proc/$pid/fd"
            done
            for pid in \(pid) \(postmaster); do kill -0 $pid 2>/dev/null && echo "signal $pid"; done
            env | grep -iE 'lark|secret|database|credential|postgres|STATE_DIRECTORY' | grep -v ^PWD
            for database in postgres template1; do
                psql -XAtwc 'SELECT 1' "host=\(place.door) dbname=$database" >/dev/null 2>&1 && echo "reach $database"
            done
            for role in lark_gateway lark_gateway_admin postgres; do
                psql -XAtwc 'SELECT 1' "host=\(place.door) dbname=lark_gateway user=$role" >/dev/null 2>&1 && echo "be $role"
            done
            for sql in 'TABLE gateway.chat_message' 'TABLE gateway.installation' 'SELECT pg_ls_dir(\\047.\\047)' \
                'CREATE TEMP TABLE t (a int)' 'SELECT lo_create(0)'; do
                psql -XAtwc "$sql" "host=\(place.door) dbname=lark_gateway" >/dev/null 2>&1 && echo "do $sql"
            done
            psql -XAtwc 'SELECT current_user' "host=\(place.door) dbname=lark_gateway"
            echo end
            """
        let worker = try place.worker(script)
        await place.stage.say("do it")
        let said = try #require(await place.stage.sent(1).first, "\(worker.output)").content
        // It is its own role, and no more.
        #expect(said == #"{"text":"www-data\nend"}"#, "\(said)")
        #expect(await place.stage.acked(await place.stage.say("still there?"), [200]))
        await place.stage.end(worker, daemon)
        _ = try? await ChildProcess.run("/bin/kill", ["-QUIT", "\(postmaster)"], deadline: .after(.seconds(5)))
    }

    @Test("what the file says wrongly of such workers is an error with its key")
    func mistakes() async throws {
        for (keys, text) in [
            (
                #""database_url": "postgresql://x@y/z", "workers": [{"user": "a"}]"#,
                "workers: database_url is set"
            ),
            (
                #""state_directory": "/x", "workers": [{"user": "root"}]"#,
                "workers[0].user: found \"root\", expected a system user"
            ),
            (
                #""state_directory": "/x", "workers": [{"user": "a"}, {"user": "a"}]"#,
                "workers: a user stands here twice"
            ),
        ] {
            let command = try Daemon(["check", "--config", try Daemon.file("{\(keys)}")])
            #expect(await command.ended() == 78 && command.output.contains(text), "\(command.output)")
        }
        let state = try TemporaryFolder.make("state")
        chown(state, try #require(getpwnam("postgres")).pointee.pw_uid, gid_t.max)
        let text = #"{"state_directory": "\#(state)", "workers": [{"user": "www-data"}]}"#
        let daemon = try Daemon(["run", "--config", try Daemon.file(text, for: "postgres")], user: "postgres")
        #expect(await daemon.ended() == 78)
        #expect(
            daemon.output.contains("socket_directory: missing, and there is no $RUNTIME_DIRECTORY"))
    }
}
