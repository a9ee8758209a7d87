import AsyncRuntime
import Foundation

/// The files that hold secrets, as one reading of the configuration finds them.
final class SecretFiles: Sendable {
    struct Unusable: Error {
        /// Without the file's name.
        let problem: String
        /// Another user could read it.
        var isOutOfReach = false
    }

    /// What some files count as holding, whatever they hold now.
    private let known: [String: String]
    private let read = Mutex<[String: String]>([:])

    /// - Parameter known: texts by path.
    init(known: [String: String] = [:]) {
        self.known = known
    }

    /// What each file held that was read or known, by path.
    var texts: [String: String] { known.merging(read.withLock { $0 }) { $1 } }

    /// A file that several keys name is read once.
    func text(of path: String) throws(Unusable) -> String {
        if let text = known[path] ?? read.withLock({ $0[path] }) { return text }
        let text = try Self.read(path)
        read.withLock { $0[path] = text }
        return text
    }

    /// - Returns: not empty, without white space around it.
    static func read(_ path: String) throws(Unusable) -> String {
        let data: Data
        do {
            data = try SmallFile.read(path) {
                ConfigurationError(keyPath: path, problem: $0, isOutOfReach: $1)
            }
        } catch {
            let mistake = (error as? ConfigurationError)?.mistakes.first
            throw Unusable(
                problem: mistake?.problem ?? "it can't be read", isOutOfReach: mistake?.isOutOfReach ?? false)
        }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { throw Unusable(problem: "it is empty") }
        guard !beginsWithMark(text) else { throw Unusable(problem: "it \(markProblem)") }
        return text
    }

    /// An editor puts a byte order mark there, which nobody sees; with it the secret is a wrong one.
    static func beginsWithMark(_ text: String) -> Bool { text.unicodeScalars.first == "\u{FEFF}" }
    static let markProblem = "begins with a byte order mark: save it without one"
}
