/// What a unit file of systemd and its drop-ins say, in the syntax of systemd.syntax(7). A pure value; nothing of it is
/// checked.
struct UnitFile: Equatable {
    /// By `SECTION.KEY`, each in the order of the files.
    private var values: [String: [String]] = [:]

    /// - Parameter texts: the unit file's, then those of its drop-ins in their order.
    init(_ texts: [String]) {
        for text in texts { read(text) }
    }

    /// Every value since the last empty one, which takes back those before it.
    func all(_ key: String) -> [String] { values[key] ?? [] }

    func last(_ key: String) -> String? { values[key]?.last }

    /// The words of every value: what spaces separate.
    func words(_ key: String) -> [String] {
        all(key).flatMap { $0.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init) }
    }

    private mutating func read(_ text: String) {
        var section = ""
        var started: [Substring] = []
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            let start = line.first { $0 != " " && $0 != "\t" }
            // Also between the lines of one value.
            if start == "#" || start == ";" { continue }
            if line.hasSuffix("\\") {
                started.append(line.dropLast())
                continue
            }
            take((started + [line]).joined(separator: " "), &section)
            started = []
        }
        if !started.isEmpty { take(started.joined(separator: " "), &section) }
    }

    private mutating func take(_ line: String, _ section: inout String) {
        let text = Self.trimmed(line[...])
        if text.hasPrefix("["), text.hasSuffix("]") {
            section = String(text.dropFirst().dropLast())
            return
        }
        guard let equals = text.firstIndex(of: "=") else { return }
        let key = "\(section).\(Self.trimmed(text[..<equals]))"
        let value = Self.trimmed(text[text.index(after: equals)...])
        if value.isEmpty {
            values[key] = []
        } else {
            values[key, default: []].append(String(value))
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }
}
