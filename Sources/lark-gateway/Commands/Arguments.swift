import Configuration
import Output

/// What was typed behind a command's name: options with a value, flags without one, and what stands behind `--`.
struct Arguments {
    private(set) var options: [String: String] = [:]
    private(set) var flags: Set<String> = []
    /// Of the options that may stand several times, in their order.
    private(set) var lists: [String: [String]] = [:]
    private(set) var positional: [String] = []
    private(set) var command: [String] = []

    /// - Parameter known: the options, without their dashes; each takes a value.
    /// - Parameter flags: those that take none.
    /// - Parameter repeatable: options that may stand several times.
    /// - Throws: `UsageError`.
    init(_ words: [String], known: [String], flags knownFlags: [String] = [], repeatable: [String] = []) throws {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                command = Array(rest)
                break
            }
            guard word.hasPrefix("--") else {
                positional.append(word)
                continue
            }
            if knownFlags.contains(String(word.dropFirst(2))) {
                guard flags.insert(String(word.dropFirst(2))).inserted else {
                    throw UsageError("\(word) stands here twice")
                }
                continue
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
            guard let name = parts.first, known.contains(name) || repeatable.contains(name) else {
                throw UsageError("unknown option \(word)")
            }
            guard options[name] == nil else { throw UsageError("--\(name) stands here twice") }
            guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
                throw UsageError("--\(name) needs a value")
            }
            if repeatable.contains(name) {
                lists[name, default: []].append(value)
            } else {
                options[name] = value
            }
        }
    }

    func required(_ name: String) throws -> String {
        guard let value = options[name] else { throw UsageError("--\(name) is missing") }
        return value
    }

    func duration(_ name: String) throws -> Duration? {
        guard let text = options[name] else { return nil }
        guard let duration = DurationText.parse(text), duration > .zero else {
            throw UsageError("--\(name) \(text): expected a duration such as 30s")
        }
        return duration
    }

    /// `--limit`, from 1 up to a million; 100 where it is not given.
    func limit() throws -> Int {
        let limit = options["limit"].map { Int($0) ?? 0 } ?? 100
        guard (1...1_000_000).contains(limit) else {
            throw UsageError("--limit \(options["limit"] ?? ""): expected a number from 1")
        }
        return limit
    }

    func refusePositional() throws {
        if let word = positional.first { throw UsageError("unexpected argument \(word)") }
    }
}

/// The command line is wrong; exit code 2.
struct UsageError: Error {
    let text: TerminalText

    init(_ text: TerminalText) {
        self.text = text
    }
}

/// Exit codes: 0 done, 1 failed, 2 usage, 78 the configuration is wrong (EX_CONFIG of sysexits.h).
enum ExitCode {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let configuration: Int32 = 78
}
