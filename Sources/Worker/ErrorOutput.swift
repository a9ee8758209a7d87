import AsyncRuntime
import Output

/// Hands the lines of a command's error output on to the worker's, each with the task's number before it, so that none
/// can be taken for a line of the log. Of one run 64 KiB at most.
final class ErrorOutput: Sendable {
    private let lines: Mutex<ErrorLines>
    private let write: @Sendable (String) -> Void

    init(taskID: Int64, write: @escaping @Sendable (String) -> Void = { ErrorOutput.toStandardError($0) }) {
        lines = Mutex(ErrorLines(prefix: "task \(taskID) stderr: "))
        self.write = write
    }

    func receive(_ bytes: ArraySlice<UInt8>) {
        let text = lines.withLock { $0.receive(bytes) }
        if !text.isEmpty { write(text) }
    }

    /// A line without an end is a line.
    func finish() {
        let text = lines.withLock { $0.finish() }
        if !text.isEmpty { write(text) }
    }

    /// As the log is written: whole lines, in one call.
    private static func toStandardError(_ text: String) {
        Terminal.complain(TerminalText(document: String(text.dropLast())))
    }
}

/// Cuts bytes into lines. Pure.
struct ErrorLines {
    static let limit = 64 << 10
    /// A longer line is several.
    private static let maxLineBytes = 4 << 10

    let prefix: String
    private var line: [UInt8] = []
    private var taken = 0
    private var dropped = 0

    init(prefix: String) {
        self.prefix = prefix
    }

    /// - Returns: the lines that end in these bytes, each with the prefix and a line end.
    mutating func receive(_ bytes: ArraySlice<UInt8>) -> String {
        let kept = bytes.prefix(max(0, Self.limit - taken))
        taken += kept.count
        dropped += bytes.count - kept.count
        var text = ""
        for byte in kept {
            if byte != UInt8(ascii: "\n") { line.append(byte) }
            if byte == UInt8(ascii: "\n") || line.count >= Self.maxLineBytes { text += endLine() }
        }
        return text
    }

    mutating func finish() -> String {
        var text = line.isEmpty ? "" : endLine()
        if dropped > 0 { text += "\(prefix)(\(dropped) bytes more)\n" }
        dropped = 0
        return text
    }

    /// What moves a terminal's cursor, or begins a line anew, is replaced.
    private mutating func endLine() -> String {
        defer { line.removeAll(keepingCapacity: true) }
        return prefix + HiddenCharacters.shown(String(decoding: line, as: UTF8.self)) + "\n"
    }
}
