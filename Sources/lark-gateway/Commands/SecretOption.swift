import Configuration
import Foundation
import Output

/// Options that take a secret. A command line is seen by everybody, so the secret itself never stands there.
extension Arguments {
    static let sources: TerminalText = "env:NAME, file:/path, credential:name, or - for standard input"

    /// - Throws: `UsageError`, `ConfigurationError` where the source can't be read.
    func secret(_ option: String) throws -> String {
        let source = try required(option)
        if source == "-" {
            let text = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            guard !text.isEmpty else { throw UsageError("--\(option) -: nothing came on standard input") }
            return text
        }
        guard ["env:", "file:", "credential:"].contains(where: source.hasPrefix) else {
            throw UsageError(
                "--\(option): a secret on the command line is seen by everybody; use \(Self.sources)")
        }
        return try Secret.resolve(source, option: "--\(option)", in: configurationFile.surroundings)
    }
}
