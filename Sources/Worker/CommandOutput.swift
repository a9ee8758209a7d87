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
        let bytes = Array(output)
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        var start = 0
        while start <= bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            // Each with the line end before it.
            if progress(bytes[start..<end]) == nil { kept += bytes[max(0, start - 1)..<end] }
            start = end + 1
        }
        return StorableText.of(String(decoding: kept, as: UTF8.self)).trimmingCharacters(in: .newlines)
    }

    private static func progress(_ line: some Collection<UInt8>) -> String? {
        guard line.first == UInt8(ascii: "{"), line.count <= maxProgressBytes, let json = JSONValue(parsing: line),
            json.keys.count == 1
        else { return nil }
        return json["progress"].string
    }
}
