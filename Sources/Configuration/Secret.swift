import Foundation

/// Where a secret's text comes from: a literal, `env:NAME`, `file:/path` or `credential:name`.
package enum Secret {
    /// - Throws: `ConfigurationError` that names the source, never the secret.
    static func resolve(_ node: JSONNode, in surroundings: Surroundings) throws -> String {
        let text = try node.string()
        if let name = text.strippingPrefix("env:") {
            guard let value = surroundings.environment[name], !value.isEmpty else {
                throw node.fail("the environment has no variable \(name)")
            }
            return try withoutMark(value, node, "the variable \(name)")
        }
        if let path = text.strippingPrefix("file:") {
            guard path.hasPrefix("/") else {
                throw node.fail("expected file:/ with an absolute path: a service has another working directory")
            }
            return try read(path, "file \(path)", node)
        }
        if let name = text.strippingPrefix("credential:") {
            guard !name.contains("/"), !name.isEmpty else { throw node.fail("a credential's name has no slash") }
            guard let path = surroundings.credential(name) else { throw unknownCredential(name, node, surroundings) }
            return try read(path, "credential \(name): \(path)", node)
        }
        return try withoutMark(text, node, "the text")
    }

    private static func unknownCredential(
        _ name: String, _ node: JSONNode, _ surroundings: Surroundings
    ) -> ConfigurationError {
        guard surroundings.credentials == nil else {
            return node.fail("credential \(name): the installed unit has no LoadCredential=\(name):/path: add it")
        }
        return node.fail(
            "credential \(name): no $CREDENTIALS_DIRECTORY: under systemd, add LoadCredential=\(name):/path",
            isOutOfReach: true)
    }

    /// For a command's option.
    package static func resolve(_ text: String, option: String, in surroundings: Surroundings) throws -> String {
        try resolve(JSONNode(path: option, value: text), in: surroundings)
    }

    private static let prefixes = ["env:", "file:", "credential:"]

    /// Whether the text says where a secret is. Such a text is none.
    static func isReference(_ text: String) -> Bool { prefixes.contains(where: text.hasPrefix) }

    /// The file that a reference means; nil: none.
    static func file(_ reference: String, in surroundings: Surroundings) -> String? {
        if let path = reference.strippingPrefix("file:") { return path }
        return reference.strippingPrefix("credential:").flatMap(surroundings.credential)
    }

    /// Stands for a secret that stands in the file itself.
    static let notPrinted = "(not printed)"

    /// For the schema: how a reference begins, and a whole one.
    static let prefixPattern = prefixes.joined(separator: "|")
    static let referencePattern = "env:.+|file:/.+|credential:[^/]+"

    /// - Parameter source: that the file is, for errors.
    private static func read(_ path: String, _ source: String, _ node: JSONNode) throws -> String {
        let data = try SmallFile.read(path) { node.fail("\(source): \($0)", isOutOfReach: $1) }
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { throw node.fail("\(source): it is empty") }
        return try withoutMark(text, node, "it", before: "\(source): ")
    }

    /// An editor puts a byte order mark there, which nobody sees; with it the secret is a wrong one.
    private static func withoutMark(
        _ text: String, _ node: JSONNode, _ what: String, before source: String = ""
    ) throws -> String {
        guard text.unicodeScalars.first != "\u{FEFF}" else {
            throw node.fail("\(source)\(what) begins with a byte order mark: save it without one")
        }
        return text
    }
}

extension JSONNode {
    /// Whether a secret, or one of a list of them, stands elsewhere.
    var namesSource: Bool {
        if let text = value as? String { return Secret.isReference(text) }
        return (value as? [Any])?.contains { ($0 as? String).map(Secret.isReference) == true } ?? false
    }

    /// Whether the secret at this key path, the node's or that of an element of its list, stands elsewhere.
    func namesSource(at keyPath: String) -> Bool {
        ((try? array()) ?? [self]).contains { $0.path == keyPath && $0.namesSource }
    }

    /// Where the secret, or each of a list of them, comes from. Of one that stands in the file itself nothing is told.
    var sources: OrderedJSON {
        if let secrets = value as? [Any] {
            return .array(secrets.map { Self.source($0) })
        }
        return Self.source(value)
    }

    private static func source(_ secret: Any) -> OrderedJSON {
        guard let text = secret as? String, Secret.isReference(text) else { return .string(Secret.notPrinted) }
        return .string(text)
    }
}

extension String {
    fileprivate func strippingPrefix(_ prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}
