import Configuration
import Foundation
import Output

/// Which configuration file a command reads: that of `--config`, else that of `LARK_GATEWAY_CONFIG`, else the installed
/// one.
struct ConfigurationFile: Sendable, Equatable {
    enum Origin: Sendable { case option, variable, standard }

    static let standardPath = "/etc/lark-gateway/config.json"
    static let variable = "LARK_GATEWAY_CONFIG"

    let path: String
    let origin: Origin

    /// - Parameter option: the value of `--config`.
    init(option: String?, environment: [String: String] = ProcessInfo.processInfo.environment) {
        if let option {
            (path, origin) = (option, .option)
        } else if let named = environment[Self.variable], !named.isEmpty {
            (path, origin) = (named, .variable)
        } else {
            (path, origin) = (Self.standardPath, .standard)
        }
    }

    /// Of a command line that `Arguments` has taken.
    init(words: [String], environment: [String: String] = ProcessInfo.processInfo.environment) {
        let own = words.prefix { $0 != "--" }
        let option = own.firstIndex(of: "--config").map { own.index(after: $0) }.flatMap {
            own.indices.contains($0) ? own[$0] : nil
        }
        let joined = own.first { $0.hasPrefix("--config=") }.map { String($0.dropFirst("--config=".count)) }
        self.init(option: option ?? joined, environment: environment)
    }

    /// For a command beside the service: it gets what the service would get.
    func load(for need: Configuration.Need = .everything, leavesOut: Bool = false) throws -> Configuration {
        try Configuration.load(path: path, in: surroundings, for: need, leavesOut: leavesOut)
    }

    /// For a command to be typed, perhaps in another shell: nothing, or ` --config PATH`.
    var option: String {
        guard origin != .standard else { return "" }
        // The other shell may be in another folder.
        return " --config " + ShellWord.quoted(URL(fileURLWithPath: path).path)
    }

    /// The same command for root's shell, which has not this one's variables.
    static func asRoot(
        _ words: [String], environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> String {
        let file = ConfigurationFile(words: words, environment: environment)
        let command = words.prefix { $0 != "--" }
        let added = file.origin == .variable ? file.option : ""
        return (["sudo", "lark-gateway"] + command.map(ShellWord.quoted)).joined(separator: " ") + added
            + (command.count < words.count ? " -- ..." : "")
    }

    /// Where no option named the file: which one it is, and why.
    var whence: TerminalText? {
        switch origin {
        case .option: nil
        case .variable: "the configuration is \(path), which \(Self.variable) names"
        case .standard:
            "the configuration is \(path), the default: neither --config nor \(Self.variable) names another file"
        }
    }
}

extension Arguments {
    var configurationFile: ConfigurationFile { ConfigurationFile(option: options["config"]) }

    func loadConfiguration(for need: Configuration.Need = .everything) throws -> Configuration {
        try configurationFile.load(for: need)
    }
}
