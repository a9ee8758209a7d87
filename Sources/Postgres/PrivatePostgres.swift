import AsyncRuntime
import Foundation

/// A Postgres server for one machine, in a folder: Unix socket only, reached by the folder's owner alone.
///
/// `start` makes the cluster where there is none, and adopts a server that a killed predecessor left running.
package struct PrivatePostgres: Sendable {
    package enum Failure: Error, Sendable, CustomStringConvertible {
        case runsAsRoot
        case notInstalled(searched: [String])
        /// Postgres reads the data of its own major version alone.
        /// - Parameter installed: the versions that are there.
        case versionNotInstalled(version: Int, data: String, installed: [String])
        case versionUnreadable(file: String)
        case clusterGone(directory: String)
        /// A folder that others own, or may enter.
        case folder(path: String, problem: String, remedy: String)
        case failed(step: String, output: String)
        /// The ways in for workers can't be made.
        case workers(problem: String, remedy: String)

        /// A person must change how the gateway is set up: trying again does not help.
        package var isSetUp: Bool {
            switch self {
            case .runsAsRoot, .notInstalled, .versionNotInstalled, .versionUnreadable, .folder, .workers: true
            case .clusterGone, .failed: false
            }
        }

        package var description: String {
            switch self {
            case .runsAsRoot:
                "Postgres refuses to run as root: run lark-gateway as a system user (systemd: User=lark-gateway), or "
                    + "set database_url to a server of your own"
            case .notInstalled(let searched):
                "no Postgres server binaries in \(searched.joined(separator: ", ")): install a Postgres server of version "
                    + "\(ServerBinaries.oldestVersion) or newer (on Debian the package postgresql), or set database_url"
            case .versionNotInstalled(let version, let data, let installed):
                "the Postgres cluster in \(data) was made by version \(version), "
                    + (installed.isEmpty
                        ? "and no Postgres server is installed"
                        : "and installed is \(installed.joined(separator: ", "))")
                    + (version < ServerBinaries.oldestVersion
                        ? ": version \(ServerBinaries.oldestVersion) or newer is needed; move the cluster to one with "
                            + "pg_upgrade"
                        : ": install version \(version) (on Debian the package postgresql-\(version)), or move the "
                            + "cluster to another version with pg_upgrade")
            case .versionUnreadable(let file):
                "\(file) does not say which version of Postgres made the cluster: bring the file back from a backup"
            case .clusterGone(let directory):
                "there is no Postgres cluster in \(directory)/data any more: bring it back, or remove \(directory) to begin "
                    + "with an empty one"
            case .folder(let path, let problem, let remedy):
                "\(path) holds the gateway's secrets and messages, and \(problem): \(remedy)"
            case .failed(let step, let output):
                "\(step) failed: \(output)"
            case .workers(let problem, let remedy):
                "workers: \(problem): \(remedy)"
            }
        }
    }

    /// Holds `data/` (the cluster), `socket/` and `postgres.log`.
    package let directory: String
    /// For tests that run as root: the system user that the server runs as.
    private let runAs: String?
    private let settings: [String: String]
    private let isForTests: Bool
    private let workers: WorkerDoors?
    var binaries = ServerBinaries()

    /// - Parameter isForTests: the gateway's role may do everything, and whoever reaches the socket is any role: for
    ///   tests and benchmarks, which make databases and roles, and terminate backends.
    /// - Parameter workers: ways in for workers as users of their own.
    package init(
        directory: String, runAs: String? = nil, settings: [String: String] = [:], isForTests: Bool = false,
        workers: WorkerDoors? = nil
    ) {
        self.directory = directory
        self.runAs = runAs
        self.settings = settings
        self.isForTests = isForTests
        self.workers = workers
    }

    package static let databaseName = "lark_gateway"
    private var data: String { directory + "/data" }
    private var hasCluster: Bool { FileManager.default.fileExists(atPath: data + "/PG_VERSION") }
    private var socket: String { directory + "/socket" }

    /// For libpq.
    package var url: String {
        "host='\(socket)' port=5432 dbname=\(Self.databaseName) user=\(ServerRoles.gateway)"
    }

    /// Of the running server, from the file that it keeps while it runs; also of one that was killed, whose file stays.
    package var processID: pid_t? {
        let text = try? String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8)
        return text?.split(separator: "\n").first.flatMap { pid_t($0) }
    }

    /// Whether the running server has begun to stop, so that it takes no new connections.
    package var isStopping: Bool {
        let text = (try? String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8)) ?? ""
        // The eighth line is its state (LOCK_FILE_LINE_PM_STATUS of Postgres's miscadmin.h).
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropFirst(7).first?.hasPrefix("stopping")
            ?? false
    }

    /// Starts or adopts the server and makes the database.
    /// - Parameter makesCluster: false where the server has run before.
    /// - Returns: whether a running server was adopted.
    /// - Throws: `Failure`, `DeadlineExceeded`, `CancellationError`.
    @discardableResult
    package func start(makesCluster: Bool = true, deadline: Deadline) async throws -> Bool {
        guard geteuid() != 0 || runAs != nil else { throw Failure.runsAsRoot }
        let binaries = try await hasCluster ? matchingBinaries(deadline) : self.binaries.newest(deadline: deadline)
        try makeDirectories()
        log.bound()
        if !hasCluster {
            // A log without a cluster is what a lost one leaves. An empty one in its place would hide the loss.
            guard makesCluster, !log.isUsed else { throw Failure.clusterGone(directory: directory) }
            // Initialised aside and moved into place, so that a crash in between leaves no half cluster.
            let draft = data + ".new"
            try? FileManager.default.removeItem(atPath: draft)
            try await run(
                "initdb", binaries + "/initdb",
                [
                    "-D", draft, "-U", ServerRoles.admin, "-E", "UTF8", "--locale=C.UTF-8", "--auth-local=peer",
                    "--auth-host=reject",
                ], deadline)
            try FileManager.default.moveItem(atPath: draft, toPath: data)
        }
        try PrivateFolder.check(data, owner: serverUser, .closed)
        try workers?.makeFolders(owner: serverUser)
        try writeConfiguration()
        var isRunning = try await execute(binaries + "/pg_ctl", ["-D", data, "status"], deadline).status == 0
        if isRunning, workers?.areOpen == false {
            // Sockets are made at a start alone. Nobody's work is lost: it is stored, or not acked.
            try await stop(deadline: deadline)
            isRunning = false
        }
        if isRunning {
            try await run("reading the settings again", binaries + "/pg_ctl", ["-D", data, "-s", "reload"], deadline)
        } else {
            try await startServer(binaries, deadline)
        }
        try await ServerRoles(
            socket: socket, database: Self.databaseName, isForTests: isForTests, workers: workers
        )
        .bringUpToDate(deadline: deadline)
        return isRunning
    }

    /// Cuts the server's log where it has grown too long; to be called now and then while the server runs.
    package func boundLog() {
        log.bound()
    }

    /// When the task is cancelled, pg_ctl goes on for up to 5 s: a server that is so new that it has no file yet would
    /// be found by no stop.
    private func startServer(_ binaries: String, _ deadline: Deadline) async throws {
        let seconds = max(1, Int(deadline.remaining.seconds))
        let starting = Task {
            try await run(
                "starting Postgres", binaries + "/pg_ctl",
                ["-D", data, "-l", log.path, "-w", "-t", "\(seconds)", "-s", "start"], deadline)
        }
        try await withTaskCancellationHandler {
            try await starting.value
        } onCancel: {
            Task {
                try await Task.sleep(for: .seconds(5))
                starting.cancel()
            }
        }
        try Task.checkCancellation()
    }

    package enum StopMode: String, Sendable { case fast, immediate }

    /// Ends the server and waits until it has ended; `immediate` is a crash, as far as the server can tell.
    package func stop(mode: StopMode = .fast, deadline: Deadline) async throws {
        guard hasCluster else { return }
        let binaries = try await matchingBinaries(deadline)
        guard try await execute(binaries + "/pg_ctl", ["-D", data, "status"], deadline).status == 0 else { return }
        let seconds = max(1, Int(deadline.remaining.seconds))
        try await run(
            "stopping Postgres", binaries + "/pg_ctl",
            ["-D", data, "-m", mode.rawValue, "-w", "-t", "\(seconds)", "-s", "stop"], deadline)
    }

    private func matchingBinaries(_ deadline: Deadline) async throws -> String {
        try await binaries.matching(clusterIn: data, deadline: deadline)
    }

    private func makeDirectories() throws {
        for path in [directory, socket] {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
        if geteuid() == 0, runAs != nil {
            for path in [directory, socket] { chown(path, serverUser, gid_t.max) }
        }
        for path in [directory, socket] { try PrivateFolder.check(path, owner: serverUser, .closed) }
    }

    private var serverUser: uid_t {
        guard geteuid() == 0, let runAs, let user = getpwnam(runAs) else { return geteuid() }
        return user.pointee.pw_uid
    }

    /// Replaced at every start: the files are ours.
    private func writeConfiguration() throws {
        let doors = workers.map { doors in doors.users.map(doors.folder) } ?? []
        let folders = doors.isEmpty ? socket : ([socket] + doors).map { "\"\($0)\"" }.joined(separator: ", ")
        var lines = [
            "listen_addresses = ''",
            "unix_socket_directories = '\(folders.replacingOccurrences(of: "'", with: "''"))'",
            "port = 5432", "max_connections = 100",
            // Each socket's folder says who reaches it.
            "unix_socket_permissions = \(doors.isEmpty ? "0700" : "0777")", "timezone = 'UTC'",
            // Of who connects and then says nothing.
            "authentication_timeout = 10s", "log_line_prefix = '%m [%p] '",
            // Statements are never logged with an error, nor parameters with anything: they hold message bodies.
            "log_min_error_statement = panic", "log_error_verbosity = terse", "log_parameter_max_length = 0",
            "log_parameter_max_length_on_error = 0",
            // It would need memory that is writable and executable (MemoryDenyWriteExecute= of systemd).
            "jit = off",
        ]
        lines += settings.sorted { $0.key < $1.key }.map { "\($0.key) = '\($0.value)'" }
        try write(lines, to: "postgresql.auto.conf")
        // By the socket, who is the server's user or root, as one of our roles; nobody else, nobody by network, and no
        // copy of the data.
        try write(
            ["local replication all reject"] + (workers?.accessRules ?? []) + [
                "local all all " + (isForTests ? "trust" : "peer map=lark_gateway"),
                "host all all all reject", "host replication all all reject",
            ], to: "pg_hba.conf")
        let name = getpwuid(serverUser).map { String(cString: $0.pointee.pw_name) } ?? ""
        try write(
            Set([name, "root"]).sorted().flatMap { user in
                ServerRoles.all.map { "lark_gateway \"\(user)\" \($0)" }
            } + (workers?.userMap(server: name) ?? []), to: "pg_ident.conf")
    }

    /// Not atomically: the file keeps its owner. So not at all where nothing changes: a full disk must not empty it.
    private func write(_ lines: [String], to file: String) throws {
        let path = URL(fileURLWithPath: data + "/" + file)
        let text = Data(("# Written by lark-gateway at every start.\n" + lines.joined(separator: "\n") + "\n").utf8)
        guard (try? Data(contentsOf: path)) != text else { return }
        try text.write(to: path)
    }

    private func run(_ step: String, _ program: String, _ arguments: [String], _ deadline: Deadline) async throws {
        let before = log.size
        let result = try await execute(program, arguments, deadline)
        guard result.status == 0 else {
            let output = String(decoding: result.errorOutput, as: UTF8.self) + log.text(since: before)
            throw Failure.failed(step: step, output: output.replacingOccurrences(of: "\n", with: " "))
        }
    }

    private var log: ServerLog { ServerLog(path: directory + "/postgres.log") }

    /// What the server's programs get of ours: no secret that a variable holds, and no socket of systemd's. Postgres's
    /// processes can be read by others of our user.
    static let environment = ProcessInfo.processInfo.environment.filter { name, _ in
        ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH"].contains(name)
            || name.hasPrefix("LC_")
    }

    private func execute(
        _ program: String, _ arguments: [String], _ deadline: Deadline
    ) async throws -> ChildProcessResult {
        var command = [program] + arguments
        if geteuid() == 0, let runAs {
            command = ["/usr/bin/setpriv", "--reuid=\(runAs)", "--regid=\(runAs)", "--clear-groups"] + command
        }
        // pg_ctl hands its output to the server that it starts.
        let isStart = arguments.last == "start"
        return try await ChildProcess.run(
            command[0], Array(command.dropFirst()), environment: Self.environment, collectsOutput: !isStart,
            deadline: deadline)
    }
}
