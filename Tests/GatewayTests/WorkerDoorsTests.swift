import AsyncRuntime
import Foundation
import Gateway
import Postgres
import Store
import TestSupport
import Testing

/// As root, who can be any user. The server runs as postgres, the worker is www-data, and games is a stranger.
@Suite("A worker as a system user of its own on a private Postgres", .enabled(if: geteuid() == 0))
struct WorkerDoorsTests {
    private let deadline = Deadline.after(.seconds(90))
    private let directory: String
    private let doors: WorkerDoors

    init() throws {
        directory = try TemporaryFolder.make("doors")
        doors = WorkerDoors(directory: directory + "/run", users: ["www-data"])
    }

    private func server(_ doors: WorkerDoors?) -> PrivatePostgres {
        PrivatePostgres(
            directory: directory + "/own", runAs: "postgres", settings: ["fsync": "off"], workers: doors)
    }

    private func start(_ doors: WorkerDoors?) async throws -> Bool {
        ExitCleanup.addServer(directory + "/own")
        return try await server(doors).start(deadline: deadline)
    }

    private func psql(_ user: String, _ url: String, _ sql: String) async throws -> (status: Int32, text: String) {
        let result = try await ChildProcess.run(
            "/usr/bin/setpriv",
            ["--reuid=\(user)", "--regid=\(user)", "--clear-groups", "psql", "-XAtw", "-d", url, "-c", sql],
            environment: ["PATH": "/usr/bin:/bin"], deadline: .after(.seconds(30)))
        return (result.status, String(decoding: result.output + result.errorOutput, as: UTF8.self))
    }

    @Test("that user gets in by its own socket as its own role, and nobody else, nowhere else, as nobody else")
    func doorsOpen() async throws {
        #expect(try await !start(doors))
        let url = doors.url(of: "www-data")
        #expect(try await psql("www-data", url, "SELECT current_user") == (0, "www-data\n"))
        for (user, url, reason) in [
            ("www-data", url + " user=lark_gateway", "Peer authentication failed"),
            ("www-data", url + " user=lark_gateway_admin", "Peer authentication failed"),
            (
                "www-data", url.replacingOccurrences(of: "dbname=lark_gateway", with: "dbname=postgres"),
                "pg_hba.conf rejects"
            ),
            (
                "www-data", url.replacingOccurrences(of: "dbname=lark_gateway", with: "dbname=template1"),
                "pg_hba.conf rejects"
            ),
            ("www-data", "host='\(directory)/own/socket' port=5432 dbname=lark_gateway", "Permission denied"),
            ("games", url + " user=www-data", "Permission denied"), ("games", url, "Permission denied"),
        ] {
            let (status, text) = try await psql(user, url, "SELECT 1")
            #expect(status == 2 && text.contains(reason), "\(user), \(url): \(text)")
        }
        // Nothing that fills a disk, or gives rights.
        for sql in [
            "CREATE TEMPORARY TABLE t (a int)", "SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')",
            "SELECT lo_creat(-1)",
            "CREATE TABLE public.t (a int)", "CREATE SCHEMA mine", "SET temp_file_limit = -1", "SET ROLE lark_gateway",
            "ALTER ROLE \"www-data\" CONNECTION LIMIT -1", "ALTER ROLE \"www-data\" SET temp_file_limit = -1",
        ] {
            let (status, text) = try await psql("www-data", url, sql)
            #expect(status == 1 && text.contains("permission denied"), "\(sql): \(text)")
        }
        #expect(try await psql("www-data", url, "SHOW temp_file_limit").text == "64MB\n")
        try await server(doors).stop(mode: .immediate, deadline: deadline)
    }

    @Test("a worker that takes every connection that it can get keeps neither the gateway nor its commands out")
    func connections() async throws {
        #expect(try await !start(doors))
        var taken: [Connection] = []
        var refusal: PostgresError?
        // Root may be the worker's role, too.
        let url = doors.url(of: "www-data") + " user=www-data"
        for _ in 0..<120 where refusal == nil {
            do throws(any Error) {
                taken.append(try await Connection.connect(to: url, applicationName: "hostile", deadline: deadline))
            } catch let error as PostgresError {
                refusal = error
            }
        }
        #expect(taken.count == 60)
        #expect("\(try #require(refusal))".contains("too many connections for role"))
        let gateway = Pool(url: server(doors).url, size: 20)
        try await GatewaySchema.migrator.apply(to: gateway, deadline: deadline)
        try await Repository(pool: gateway).addWorkerRole("www-data", runtime: "default")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 { group.addTask { try await gateway.run("SELECT pg_sleep(0.2)") } }
            try await group.waitForAll()
        }
        // It may end them, though it is no superuser.
        #expect(try await Repository(pool: gateway).relieveNotifications(abovePercent: 0) == 60)
        await gateway.close()
        for connection in taken { await connection.close() }
        try await server(doors).stop(mode: .immediate, deadline: deadline)
    }

    @Test("a server that was started without its socket, and is adopted, is started anew; one that has it stays")
    func adopted() async throws {
        #expect(try await !start(nil))
        #expect(try await !start(doors))
        #expect(try await psql("www-data", doors.url(of: "www-data"), "SELECT 1").status == 0)
        #expect(try await start(doors))
        // The worker's user stands there no more.
        #expect(try await start(nil))
        #expect(try await psql("www-data", doors.url(of: "www-data"), "SELECT 1").text.contains("Peer authentication"))
        try await server(nil).stop(mode: .immediate, deadline: deadline)
    }

    @Test(
        "a user that is not there, the server's own user, and a folder that is not ours end the start with what to do")
    func wrongDoors() async throws {
        func failure(_ users: [String]) async throws -> String {
            let error = await #expect(throws: PrivatePostgres.Failure.self) {
                try await start(WorkerDoors(directory: directory + "/run", users: users))
            }
            let failure = try #require(error)
            #expect(failure.isSetUp)
            return failure.description
        }
        #expect(
            try await failure(["no-such-user"]) == "workers: there is no system user no-such-user: useradd "
                + "--system --user-group --shell /usr/sbin/nologin no-such-user")
        #expect(try await failure(["postgres"]).contains("postgres is the user that runs Postgres"))
        try FileManager.default.createSymbolicLink(atPath: directory + "/run/www-data", withDestinationPath: "/tmp")
        #expect(try await failure(["www-data"]).contains("is no folder of the user that runs Postgres"))
        chmod(directory + "/run", 0o777)
        #expect(try await failure(["games"]).contains("others may change it"))
    }

    @Test(
        "names that the server uses itself, and those that are no user's, are refused",
        arguments: [
            ("www-data", true), ("lark-gateway-worker", true), ("_apt", true), ("root", false), ("lark_gateway", false),
            ("lark_gateway_admin", false), ("lark_gateway_mover", false), ("pg_monitor", false), ("a\"b", false),
            ("", false), ("a b", false), ("all", false), ("a\n", false), ("1a", false),
        ])
    func names(name: String, isTaken: Bool) {
        #expect(WorkerDoors.isUserName(name) == isTaken)
    }
}
