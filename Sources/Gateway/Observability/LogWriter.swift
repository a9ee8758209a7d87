import AsyncRuntime
import Foundation
import Output

/// What is logged, and how a line looks.
package struct LogSettings: Sendable, Equatable {
    package enum Format: String, CaseIterable, Sendable { case json, text }

    /// Events below it are not written.
    package var level = LogEvent.Level.info
    package var format = Format.json

    package init() {}
}

/// Writes events to a descriptor (stderr), one line each, whole lines only.
package final class LogWriter: Sendable {
    private let threshold: LogThreshold
    private let format: Mutex<LogSettings.Format>
    private let descriptor: Int32

    package init(settings: LogSettings, descriptor: Int32 = 2) {
        threshold = LogThreshold(settings.level)
        format = Mutex(settings.format)
        self.descriptor = descriptor
    }

    package var logger: Logger {
        Logger(threshold: threshold) { [self] event in
            let now = Date()
            let format = format.withLock { $0 }
            write(format == .json ? Self.json(event, at: now) : Self.text(event, at: now))
        }
    }

    /// From now on, for every logger of this writer.
    package func update(_ settings: LogSettings) {
        format.withLock { $0 = settings.format }
        threshold.set(settings.level)
    }

    private static let lock = Mutex(())

    private func write(_ line: LogLine) {
        Self.lock.withLock { _ in
            var sent = 0
            while sent < line.bytes.count {
                let count = line.bytes.withUnsafeBytes {
                    Foundation.write(descriptor, $0.baseAddress?.advanced(by: sent), line.bytes.count - sent)
                }
                if count < 0, errno == EINTR { continue }
                // A log that nobody takes is no reason to stop.
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    static func json(_ event: LogEvent, at date: Date) -> LogLine {
        var line = LogLine()
        line.append(#"{"time":""#)
        line.append(date)
        line.append(#"","level":"#)
        line.append(quoted: event.level.rawValue)
        line.append(#","event":"#)
        line.append(quoted: event.name)
        for (key, value) in event.fields {
            line.append(",")
            line.append(quoted: key)
            line.append(":")
            switch value {
            case .text(let text): line.append(quoted: text)
            case .integer(let number): line.append(String(number))
            case .boolean(let flag): line.append(flag ? "true" : "false")
            }
        }
        line.append("}\n")
        return line
    }

    static func text(_ event: LogEvent, at date: Date) -> LogLine {
        var line = LogLine()
        line.append(date)
        line.append(" ")
        line.append(event.level.rawValue.uppercased().padding(toLength: 7, withPad: " ", startingAt: 0))
        line.append(" ")
        line.append(event.name)
        for (key, value) in event.fields {
            line.append(" \(key)=")
            switch value {
            case .text(let text):
                let isPlain =
                    !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D }
                    && !HiddenCharacters.areIn(text)
                if isPlain { line.append(text) } else { line.append(quoted: text) }
            case .integer(let number): line.append(String(number))
            case .boolean(let flag): line.append(flag ? "true" : "false")
            }
        }
        line.append("\n")
        return line
    }
}
