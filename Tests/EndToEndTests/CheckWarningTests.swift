import AsyncRuntime
import TestSupport
import Testing

@Suite("What check warns of")
struct CheckWarningTests {
    @Test("S22: a database on another machine whose certificate is not checked; never its URL")
    func way() async throws {
        let url = "postgresql://gateway:s3cr3t@db.invalid/x"
        let check = try Daemon(["check", "--config", try Daemon.file(#"{"database_url": "\#(url)"}"#)])
        #expect(await check.ended() == 1)
        #expect(
            check.output.contains("warn  database_url: db.invalid is not this machine, and sslmode is prefer: "),
            "\(check.output)")
        #expect(!check.output.contains("s3cr3t"))
        let verified = try Daemon(
            ["check", "--config", try Daemon.file(#"{"database_url": "\#(url)?sslmode=verify-full"}"#)])
        #expect(await verified.ended() == 1)
        #expect(!verified.output.contains("warn"))
    }
}
