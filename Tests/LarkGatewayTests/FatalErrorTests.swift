import Foundation
import Postgres
import TestSupport
import Testing

@testable import Configuration
@testable import lark_gateway

@Suite("What a command or the daemon says when it ends")
struct FatalErrorTests {
    private func fatal(_ error: any Error, _ words: [String]? = ["status"]) -> FatalError {
        FatalError(error, ConfigurationFile(option: nil, environment: [:]), words)
    }

    @Test(
        "what Postgres refuses is told with what to do, never as a SQLSTATE alone",
        arguments: [
            ("42501", nil, "rights"), ("42P01", nil, "lark-gateway migrate"), ("3F000", nil, "lark-gateway migrate"),
            ("57014", nil, "lark-gateway check"), ("GW001", "type this", "type this"),
        ])
    func statements(state: String, hint: String?, words: String) {
        let refusal = StatementError(
            statement: "status_installations", sqlState: state, message: "no", constraint: nil, hint: hint)
        let told = fatal(PostgresError.statement(refusal))
        #expect(told.code == 1 && told.key == "database_url")
        #expect(told.problem.hasPrefix("Postgres refuses: ") && told.hint?.contains(words) == true)
    }

    @Test("an error of Foundation is the path and the reason")
    func foundation() throws {
        let error = #expect(throws: (any Error).self) {
            try FileManager.default.createDirectory(atPath: "/proc/no", withIntermediateDirectories: false)
        }
        let told = fatal(try #require(error))
        #expect(!told.problem.contains("Domain") && told.hint?.isEmpty == false, "\(told)")
    }

    @Test("a private Postgres that can't be reached: who may, or how it is started")
    func privatePostgres() {
        let socket = #"connection to server on socket "/var/lib/lark-gateway/postgres/socket/.s.PGSQL.5432" failed: "#
        let denied = fatal(PostgresError.connection(socket + "Permission denied"), ["agent", "list"])
        #expect(denied.hint?.hasSuffix("type: sudo lark-gateway agent list") == true && denied.key == nil)
        let away = fatal(PostgresError.connection(socket + "No such file or directory"))
        #expect(away.hint?.hasSuffix("sudo systemctl start lark-gateway") == true)
        let daemon = fatal(PostgresError.connection(socket + "No such file or directory"), nil)
        #expect(daemon.hint?.contains("postgres.log") == true)
        let other = fatal(PostgresError.connection("refused"))
        #expect(other.key == "database_url" && other.hint?.contains("lark-gateway check") == true)
    }

    @Test("what a person must set up ends with 78, what may pass with 1")
    func codes() {
        #expect(fatal(PrivatePostgres.Failure.runsAsRoot).code == 78)
        #expect(fatal(PrivatePostgres.Failure.failed(step: "initdb", output: "x")).code == 1)
        #expect(fatal(StateDirectoryLock.Failure.held(directory: "/s", holder: 1)).code == 1)
        #expect(fatal(StateDirectoryLock.Failure.unusable(path: "/s", code: EACCES)).code == 78)
        let full = fatal(StateDirectoryLock.Failure.unusable(path: "/s/lark-gateway.lock", code: ENOSPC))
        #expect(full.code == 1 && full.key == "state_directory")
        #expect(fatal(ConfigurationError(keyPath: "a", problem: "b")).code == 78)
    }

    @Test("who holds the lock of a state directory is seen from outside, and by nobody who may not")
    func lockHolder() async throws {
        let directory = try TemporaryFolder.make("lock")
        #expect(StateDirectoryLock.holder(of: directory) == .nobody)
        try await StateDirectoryLock.withLock(on: directory) {
            #expect(StateDirectoryLock.holder(of: directory) == .process(id: Int(getpid())))
        }
        #expect(StateDirectoryLock.holder(of: directory) == .nobody)
        // The look at it has let it go.
        try await StateDirectoryLock.withLock(on: directory) {}
    }
}
