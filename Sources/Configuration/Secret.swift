import Foundation

/// Where a secret's text comes from: a literal, `env:NAME`, `file:/path` or `credential:name`.
package enum Secret {
    /// - Throws: `ConfigurationError` that names the source, never the secret.
    static func resolve(_ node: JSONNode, environment: [String: String]) throws -> String {
        let text = try node.string()
        if let name = text.strippingPrefix("env:") {
            guard let value = environment[name], !value.isEmpty else {
                throw node.fail("the environment has no variable \(name)")
            }
            return value
        }
        if let path = text.strippingPrefix("file:") { return try read(path, "file", node) }
        if let name = text.strippingPrefix("credential:") {
            guard !name.contains("/"), !name.isEmpty else { throw node.fail("a credential's name has no slash") }
            guard let directory = environment["CREDENTIALS_DIRECTORY"] else {
                throw node.fail(
                    "credential \(name): no $CREDENTIALS_DIRECTORY: under systemd, add LoadCredential=\(name):/path")
            }
            return try read(directory + "/" + name, "credential", node)
        }
        return text
    }

    /// For a command's option.
    package static func resolve(_ text: String, option: String, environment: [String: String]) throws -> String {
        try resolve(JSONNode(path: option, value: text), environment: environment)
    }

    private static func read(_ path: String, _ source: String, _ node: JSONNode) throws -> String {
        let data = try SmallFile.read(path) { node.fail("\(source) \(path): \($0)") }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { throw node.fail("\(source) \(path): it is empty") }
        return text
    }
}

extension String {
    fileprivate func strippingPrefix(_ prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}
