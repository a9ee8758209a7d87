import Gateway
import Store

/// What people write to the gateway itself.
enum CommandFuzzing {
    static func run(_ bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        switch ChatCommand(text) {
        case .issue(let title, _):
            precondition(!title.contains(where: \.isNewline), "a title of many lines")
            let ends = [title.unicodeScalars.first, title.unicodeScalars.last].compactMap { $0 }
            precondition(!ends.contains { $0.properties.isWhitespace }, "a title with spaces around it")
        case .new(let inner): precondition(inner.isEmpty || text.contains(inner))
        case .help, .status: precondition(text.utf8.count >= 5)
        case nil: break
        }
    }
}
