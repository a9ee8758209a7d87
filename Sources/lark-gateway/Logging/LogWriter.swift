import Foundation
import Gateway
import Synchronization

struct LogSettings: Sendable, Equatable {
    enum Level: String, CaseIterable, Sendable { case debug, info, warning, error }
    enum Format: String, CaseIterable, Sendable { case json, text }

    var level = Level.info
    var format = Format.json

    init() {}

    init(_ node: JSONNode) throws {
        let keys = try node.object(keys: ["level", "format"])
        level = try keys["level"]?.choice(of: Level.self) ?? level
        format = try keys["format"]?.choice(of: Format.self) ?? format
    }

    var minimum: LogEvent.Level {
        switch level {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }
}

/// Writes events to stderr, one line each, whole lines only.
struct LogWriter: Sendable {
    let settings: LogSettings

    var logger: Logger {
        Logger { [self] event in
            guard event.level >= settings.minimum else { return }
            let now = Date()
            Self.write(settings.format == .json ? Self.json(event, at: now) : Self.text(event, at: now))
        }
    }

    private static let lock = Mutex(())

    private static func write(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        lock.withLock { _ in
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Foundation.write(2, $0.baseAddress?.advanced(by: sent), bytes.count - sent)
                }
                if count < 0, errno == EINTR { continue }
                // A log that nobody takes is no reason to stop.
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    static func json(_ event: LogEvent, at date: Date) -> String {
        var parts = [
            "\"time\":\(quote(timestamp(date)))", "\"level\":\(quote(event.level.name))",
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

    static func text(_ event: LogEvent, at date: Date) -> String {
        let fields = event.fields.map { key, value in
            switch value {
            case .text(let text):
                text.contains(where: { " \"=\n".contains($0) }) || text.isEmpty
                    ? "\(key)=\(quote(text))" : "\(key)=\(text)"
            case .integer(let number): "\(key)=\(number)"
            case .boolean(let flag): "\(key)=\(flag)"
            }
        }
        let level = event.level.name.uppercased().padding(toLength: 7, withPad: " ", startingAt: 0)
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
