import AsyncRuntime
import Foundation
import Lark

/// What an agent's command prints: lines `{"progress": "..."}` say how far it is, all else is the reply. Pure.
struct CommandOutput {
    /// Longer lines are part of the reply.
    private static let maxProgressBytes = 16 << 10

    private var line: [UInt8] = []

    /// Takes bytes in as they come.
    /// - Returns: what the progress lines that end in them say.
    mutating func receive(_ bytes: ArraySlice<UInt8>) -> [String] {
        var found: [String] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                if line.count <= Self.maxProgressBytes { line.append(byte) }
                continue
            }
            if let progress = Self.progress(line) { found.append(progress) }
            line.removeAll(keepingCapacity: true)
        }
        return found
    }

    /// The reply in all that was printed.
    static func reply(_ output: Data) -> String {
        let lines = output.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let kept = lines.filter { progress(Array($0)) == nil }
        let text = String(decoding: Data(kept.joined(separator: [UInt8(ascii: "\n")])), as: UTF8.self)
        return text.replacingOccurrences(of: "\0", with: "\u{FFFD}").trimmingCharacters(in: .newlines)
    }

    private static func progress(_ line: [UInt8]) -> String? {
        guard line.count <= maxProgressBytes, line.first == UInt8(ascii: "{"), let json = JSONValue(parsing: line),
            json.keys == ["progress"]
        else { return nil }
        return json["progress"].string
    }
}
