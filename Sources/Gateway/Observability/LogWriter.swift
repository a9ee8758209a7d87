import Foundation
import Synchronization

/// What is logged, and how a line looks.
package struct LogSettings: Sendable, Equatable {
    package enum Format: String, CaseIterable, Sendable { case json, text }

    /// Events below it are not written.
    package var level = LogEvent.Level.info
    package var format = Format.json

    package init() {}
}

/// Writes events to a descriptor (stderr), one line each, whole lines only.
package struct LogWriter: Sendable {
    private let settings: LogSettings
    private let descriptor: Int32

    package init(settings: LogSettings, descriptor: Int32 = 2) {
        self.settings = settings
        self.descriptor = descriptor
    }

    package var logger: Logger {
        Logger { [self] event in
            guard event.level >= settings.level else { return }
            let now = Date()
            write(settings.format == .json ? Self.json(event, at: now) : Self.text(event, at: now))
        }
    }

    private static let lock = Mutex(())

    private func write(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        Self.lock.withLock { _ in
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Foundation.write(descriptor, $0.baseAddress?.advanced(by: sent), bytes.count - sent)
                }
                if count < 0, errno == EINTR { continue }
                // A log that nobody takes is no reason to stop.
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    package static func json(_ event: LogEvent, at date: Date) -> String {
        var parts = [
            "\"time\":\(quote(timestamp(date)))", "\"level\":\(quote(event.level.rawValue))",
            "\"event\":\(quote(event.name))",
        ]
        for (key, value) in event.fields {
            let text =
                switch value {
                case .text(let text): quote(text)
                case .integer(let number): "\(number)"
                case .boolean(let flag): "\(flag)"
                }
            parts.append("\"\(key)\":\(text)")
        }
        return "{" + parts.joined(separator: ",") + "}"
    }

    package static func text(_ event: LogEvent, at date: Date) -> String {
        let fields = event.fields.map { key, value in
            switch value {
            case .text(let text):
                text.contains(where: { " \"=\n".contains($0) }) || text.isEmpty
                    ? "\(key)=\(quote(text))" : "\(key)=\(text)"
            case .integer(let number): "\(key)=\(number)"
            case .boolean(let flag): "\(key)=\(flag)"
            }
        }
        let level = event.level.rawValue.uppercased().padding(toLength: 7, withPad: " ", startingAt: 0)
        return ([timestamp(date), level, event.name] + fields).joined(separator: " ")
    }

    private static func timestamp(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// RFC 8259, section 7.
    private static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
