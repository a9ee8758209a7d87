import Postgres
import TestSupport
import Testing

/// S21 of the security review.
@Suite("`check` and the server's log")
struct StatementLoggingCheckTests {
    @Test(
        "`check` warns where the server logs what people wrote, until its parameters are left out; that is no failure")
    func warns() async throws {
        let stage = try await Stage()
        let file = try Daemon.file(stage.configuration())
        func check() async throws -> (Int32, String) {
            let command = try Daemon(["check", "--config", file])
            return (await command.ended(), command.output)
        }
        func set(_ setting: String) async throws {
            try await stage.pool.run(
                """
                DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET \(setting)', current_database()); END $$
                """)
        }
        let quiet = try await check()
        #expect(quiet.0 == 0 && !quiet.1.contains("warn"), "\(quiet.1)")
        try await set("log_min_duration_statement = 0")
        // The tests' own server says 0.
        try await set("log_parameter_max_length = -1")
        let warned = try await check()
        #expect(warned.0 == 0, "\(warned.1)")
        #expect(
            warned.1.contains(
                /warn  database: the server logs statements with their parameters.*\(log_min_duration_statement\): ALTER ROLE \S+ SET log_parameter_max_length = 0/
            ), "\(warned.1)")
        try await set("log_parameter_max_length = 0")
        #expect(try await !check().1.contains("warn"))
        await stage.end()
    }
}
