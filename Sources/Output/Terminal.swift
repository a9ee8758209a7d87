import Foundation

/// Standard output and standard error. What the commands say goes through here and nowhere else, so that it is a
/// `TerminalText`.
package enum Terminal {
    /// One line, or several, to standard output.
    package static func say(_ text: TerminalText) {
        print(text.string)
    }

    /// A table to standard output.
    package static func sayTable(_ head: [String], _ rows: [[String]]) {
        for line in Table.lines(head, rows) { say(line) }
    }

    /// A question to standard output, whose answer follows on the same line.
    package static func ask(_ text: TerminalText) {
        print(text.string, terminator: " ")
        flush()
    }

    /// One line, or several, to standard error. What nobody takes is no reason to stop.
    package static func complain(_ text: TerminalText) {
        let bytes = Array((text.string + "\n").utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { write(2, $0.baseAddress?.advanced(by: sent), bytes.count - sent) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            sent += count
        }
    }

    /// For who reads along while the program goes on.
    package static func flush() {
        fflush(nil)
    }
}
