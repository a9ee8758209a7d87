import Configuration
import Output
import Store

/// What commands say of agents and bots of the configuration file, in the words of lists.
enum Overrides {
    /// Such as `runtime offline (file: default) by ada@vm 5m ago`.
    static func text(_ override: Override) -> String {
        let by = " by \(override.user ?? "a command"), \(DurationText.text(override.age)) ago"
        switch override.setting {
        case "archived", "revoked":
            return "\(override.said == "yes" ? "" : "not ")\(override.setting)\(by)"
        case "app_secret": return "secret\(by)"
        default:
            let file = override.hides ? " (file: \(override.file ?? "offline"))" : ""
            return "\(override.setting) \(override.said ?? "offline")\(file)\(by)"
        }
    }

    /// For a table.
    static func cell(_ overrides: [Override]) -> String {
        overrides.map(text).joined(separator: "; ")
    }

    static func json(_ overrides: [Override]) -> OrderedJSON {
        .array(
            overrides.map { override in
                [
                    "setting": .string(override.setting), "said": OrderedJSON(override.said),
                    "file": OrderedJSON(override.file), "hides": .boolean(override.hides),
                    "by": OrderedJSON(override.user), "since": .string(override.since),
                    "age_seconds": .duration(override.age),
                ]
            })
    }

    /// What a `reset` has to say.
    /// - Parameter count: of the words that were taken back; nil: there is no such thing.
    /// - Returns: the exit code.
    static func said(_ count: Int?, of thing: TerminalText) -> Int32 {
        switch count {
        case nil: Terminal.say("no \(thing)")
        case 0: Terminal.say("no command has said anything of \(thing)")
        default: Terminal.say("done: the file's word counts again")
        }
        return count == nil ? ExitCode.failed : ExitCode.done
    }
}
