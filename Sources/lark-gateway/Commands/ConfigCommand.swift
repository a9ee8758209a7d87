import Configuration
import Output

/// `config`: what is in effect, and what may stand in the file at all.
enum ConfigCommand {
    private static let usage: TerminalText = "lark-gateway config print | schema | keys"

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config"])
        guard arguments.positional.count == 1, arguments.command.isEmpty,
            arguments.positional[0] == "print" || arguments.options.isEmpty
        else { throw UsageError("usage: \(usage)") }
        switch arguments.positional[0] {
        case "print":
            // No secret is printed, so none is missed; `check` tells of those that can't be read.
            let configuration = try arguments.loadConfiguration(for: .nothing)
            Terminal.say(document(configuration.effective.text))
        case "schema": Terminal.say(document(SettingsSchema.document.text))
        case "keys": Terminal.say(document(SettingsTable.markdown))
        default: throw UsageError("usage: \(usage)")
        }
        return ExitCode.done
    }

    /// - Parameter text: ends with a line break, as a file.
    private static func document(_ text: String) -> TerminalText {
        TerminalText(document: text.hasSuffix("\n") ? String(text.dropLast()) : text)
    }
}
