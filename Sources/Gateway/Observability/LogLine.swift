import Foundation
import Output

/// The bytes of one line of the log, as they grow.
struct LogLine {
    private(set) var bytes: [UInt8] = []

    init() {
        bytes.reserveCapacity(512)
    }

    mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    /// As a JSON string (RFC 8259, section 7). Hidden characters are escaped beyond ASCII too: who reads the log in a
    /// terminal sees the text in its order, and on one line.
    mutating func append(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        if text.utf8.contains(where: { $0 > 0x7E }) {
            for scalar in text.unicodeScalars {
                if scalar.value > 0x7E, HiddenCharacters.contains(scalar) {
                    append(HiddenCharacters.escaped(scalar))
                } else {
                    append(escapingASCII: String(scalar).utf8)
                }
            }
        } else {
            append(escapingASCII: text.utf8)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func append(escapingASCII utf8: String.UTF8View) {
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0x0A: append("\\n")
            case 0x0D: append("\\r")
            case 0x09: append("\\t")
            case ..<0x20: append((byte < 16 ? "\\u000" : "\\u00") + String(byte, radix: 16))
            default: bytes.append(byte)
            }
        }
    }

    /// In UTC, to the millisecond: 2026-11-24T13:05:09.042Z. A formatter of Foundation's takes longer than all the rest
    /// of a line.
    mutating func append(_ date: Date) {
        let milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded(.down))
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        append(digits: Int(parts.tm_year) + 1900, 4, "-")
        append(digits: Int(parts.tm_mon) + 1, 2, "-")
        append(digits: Int(parts.tm_mday), 2, "T")
        append(digits: Int(parts.tm_hour), 2, ":")
        append(digits: Int(parts.tm_min), 2, ":")
        append(digits: Int(parts.tm_sec), 2, ".")
        append(digits: Int(milliseconds % 1000), 3, "Z")
    }

    private mutating func append(digits number: Int, _ width: Int, _ separator: Unicode.Scalar) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
        bytes.append(UInt8(ascii: separator))
    }
}
