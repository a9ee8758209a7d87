import AsyncRuntime
import Curl
import Foundation
import Gateway
import Lark
import TestSupport

/// The real executable as a process of its own, with its log.
final class Daemon: Sendable {
    /// Beside the test bundle.
    static let executable: String = {
        let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (path as NSString).deletingLastPathComponent + "/lark-gateway"
    }()

    private let log: String
    private final class ProcessID: Sendable {
        let value = Mutex<pid_t?>(nil)
    }

    private let pid = ProcessID()
    private let task: Task<Int32, Never>

    /// - Parameter user: runs as this user instead of as ours.
    /// - Parameter executable: of another version.
    init(
        _ arguments: [String], user: String? = nil, environment: [String: String] = [:],
        executable: String = Daemon.executable
    ) throws {
        let folder = try TemporaryFolder.make("daemon")
        chmod(folder, 0o777)
        log = folder + "/log"
        var command = [executable] + arguments
        if let user {
            // The build folder may be closed to other users.
            let copy = folder + "/lark-gateway"
            try FileManager.default.copyItem(atPath: executable, toPath: copy)
            command = ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", copy] + arguments
        }
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.merging(["LOG": log]) { $1 }
        let words = ["-c", "exec \"$0\" \"$@\" >>\"$LOG\" 2>&1"] + command
        task = Task { [pid] in
            let result = try? await ChildProcess.run(
                "/bin/sh", words, environment: variables, collectsOutput: false, deadline: .after(.seconds(7_200)),
                started: { child in
                    pid.value.withLock { $0 = child }
                    ExitCleanup.addProcess(child)
                })
            if let child = pid.value.withLock({ $0 }) { ExitCleanup.removeProcess(child) }
            return result?.status ?? -1
        }
    }

    /// Writes a configuration and runs `run` on it.
    static func run(
        _ configuration: String, user: String? = nil, executable: String = Daemon.executable
    ) throws -> Daemon {
        try Daemon(["run", "--config", try file(configuration, for: user)], user: user, executable: executable)
    }

    /// - Parameter user: nil: ours.
    /// - Returns: the path of a file that this user alone may read.
    static func file(_ text: String, for user: String? = nil) throws -> String {
        let path = try TemporaryFolder.make("config") + "/config.json"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o600)
        if let account = user.flatMap({ getpwnam($0) }) { chown(path, account.pointee.pw_uid, gid_t.max) }
        return path
    }

    var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// The log's events of that name.
    func events(_ name: String) -> [JSONValue] {
        output.split(separator: "\n").compactMap { JSONValue(parsing: String($0)) }.filter {
            $0["event"].string == name
        }
    }

    /// The log's events of that name, once there are so many. What other processes see of the daemon comes before its
    /// line about it: an ack, a message or a row is no sign that the log says it already.
    func logged(_ name: String, count: Int = 1) async throws -> [JSONValue] {
        _ = try await logs(name, count: count)
        return events(name)
    }

    func logs(_ name: String, count: Int = 1, within limit: Duration = .seconds(30)) async throws -> Bool {
        try await eventually(within: limit) { self.events(name).count >= count }
    }

    /// The status of `/readyz`.
    func readiness() async throws -> Int {
        let port = events("metrics.listening").first?["port"].integer ?? 0
        guard let url = URL(string: "http://127.0.0.1:\(port)/readyz") else { return 0 }
        return try await HTTPExchange(timeout: .seconds(30)).send("GET", url).status
    }

    /// The most memory that it has held, in bytes.
    var peakMemory: Int {
        guard let pid = pid.value.withLock({ $0 }),
            let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") })
        else { return 0 }
        return (line.split(separator: " ").compactMap { Int($0) }.first ?? 0) << 10
    }

    /// nil before it has started.
    var processID: pid_t? { pid.value.withLock { $0 } }

    func signal(_ number: Int32) {
        if let pid = pid.value.withLock({ $0 }) { kill(pid, number) }
    }

    /// The exit status, once it has ended.
    func ended() async -> Int32 {
        await task.value
    }

    func stop() async -> Int32 {
        signal(SIGTERM)
        return await ended()
    }

    func killNow() async {
        signal(SIGKILL)
        _ = await ended()
    }
}
