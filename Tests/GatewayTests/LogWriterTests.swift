import Foundation
import TestSupport
import Testing

@testable import Gateway

@Suite("The log's level and format")
struct LogWriterTests {
    /// The lines that a writer has written.
    private func lines(_ settings: LogSettings, _ body: (LogWriter) throws -> Void) throws -> [String] {
        let path = try TemporaryFolder.make("log") + "/log"
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try body(LogWriter(settings: settings, descriptor: descriptor))
        return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    @Test("a change counts at once, for loggers that were there before, in both directions")
    func change() throws {
        let lines = try lines(LogSettings()) { log in
            let logger = log.logger
            logger.log(LogEvent(.debug, "a.hidden"))
            logger.log(LogEvent(.info, "a.written"))
            var settings = LogSettings()
            settings.level = .debug
            settings.format = .text
            log.update(settings)
            logger.log(LogEvent(.debug, "b.written"))
            logger.logDebug(LogEvent(.debug, "c.written"))
            settings.level = .error
            settings.format = .json
            log.update(settings)
            logger.log(LogEvent(.warning, "d.hidden"))
            logger.log(LogEvent(.error, "d.written"))
        }
        #expect(lines.map { $0.contains("hidden") } == [false, false, false, false])
        #expect(lines.map { $0.hasPrefix("{") } == [true, false, false, true])
    }
}
