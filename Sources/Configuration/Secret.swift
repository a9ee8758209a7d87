import Foundation

/// Where a secret's text comes from: a literal, `env:NAME`, `file:/path` or `credential:name`.
package enum Secret {
    /// - Throws: `ConfigurationError` that names the source, never the secret.
    static func resolve(_ node: JSONNode, _ reading: SettingReading) throws -> String {
        let text = try node.string()
        if let name = text.strippingPrefix("env:") {
            guard let value = reading.environment[name], !value.isEmpty else {
                throw node.fail("the environment has no variable \(name)")
            }
            return try withoutMark(value, node, "the variable \(name)")
        }
        if let path = text.strippingPrefix("file:") {
            guard path.hasPrefix("/") else {
                throw node.fail("expected file:/ with an absolute path: a service has another working directory")
            }
            return try read(path, "file \(path)", node, reading)
        }
        if let name = text.strippingPrefix("credential:") {
            guard !name.contains("/"), !name.isEmpty else { throw node.fail("a credential's name has no slash") }
            guard let path = reading.surroundings.credential(name) else {
                throw unknownCredential(name, node, reading.surroundings)
            }
            return try read(path, "credential \(name): \(path)", node, reading)
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
        try resolve(
            JSONNode(path: option, value: text), SettingReading(surroundings: surroundings, need: .everything))
    }

    private static let prefixes = ["env:", "file:", "credential:"]

    /// Whether the reference is of a file that may change at any time. The files of credentials are systemd's.
    static func isFile(_ reference: String) -> Bool { reference.hasPrefix("file:") }

    /// Whether systemd hands the secret out.
    static func isCredential(_ reference: String) -> Bool { reference.hasPrefix("credential:") }

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
    private static func read(
        _ path: String, _ source: String, _ node: JSONNode, _ reading: SettingReading
    ) throws -> String {
        do throws(SecretFiles.Unusable) {
            return try reading.files.text(of: path)
        } catch {
            throw node.fail("\(source): \(error.problem)", isOutOfReach: error.isOutOfReach)
        }
    }

    private static func withoutMark(_ text: String, _ node: JSONNode, _ what: String) throws -> String {
        guard !SecretFiles.beginsWithMark(text) else { throw node.fail("\(what) \(SecretFiles.markProblem)") }
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
