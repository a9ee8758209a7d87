import Configuration

/// `config`: what is in effect, and what may stand in the file at all.
enum ConfigCommand {
    private static let usage = "lark-gateway config print --config FILE | schema | keys"

    static func run(_ words: [String]) async throws -> Int32 {
        let arguments = try Arguments(words, known: ["config"])
        guard arguments.positional.count == 1, arguments.command.isEmpty,
            arguments.positional[0] == "print" || arguments.options.isEmpty
        else { throw UsageError("usage: \(usage)") }
        switch arguments.positional[0] {
        case "print":
            // No secret is printed, so none is missed; `check` tells of those that can't be read.
            let configuration = try Configuration.load(path: arguments.required("config"), for: .nothing)
            print(configuration.effective.text, terminator: "")
        case "schema": print(SettingsSchema.document.text, terminator: "")
        case "keys": print(SettingsTable.markdown, terminator: "")
        default: throw UsageError("usage: \(usage)")
        }
        return ExitCode.done
    }
}
