import Foundation

/// A value of a JSON document with the path that leads to it. Reading is strict: every mistake is an error that names
/// its key path.
package struct JSONNode {
    let path: String
    let value: Any

    /// - Parameter data: UTF-8, with or without a byte order mark.
    /// - Parameter mistakes: where keys that stand twice are told of.
    /// - Throws: `ConfigurationError` where the text is no JSON.
    init(parsing data: Data, collecting mistakes: inout MistakeList) throws {
        path = ""
        let text = try Self.utf8(data)
        do {
            value = try JSONSerialization.jsonObject(with: text, options: [.fragmentsAllowed])
        } catch {
            throw ConfigurationError(keyPath: "", problem: "not JSON: \(Self.fault(in: Array(text)))")
        }
        DuplicateKeys.find(in: Array(text), &mistakes)
    }

    private static func fault(in bytes: [UInt8]) -> String {
        guard let fault = JSONSyntax.fault(in: bytes) else {
            // The grammar has no bounds.
            return "it can't be read: a number that is too large, or more than 512 brackets within each other"
        }
        var places = TextPlaces(of: bytes)
        return "\(places.place(at: fault.offset)): \(fault.problem)"
    }

    /// JSONSerialization guesses an encoding from byte order marks and NULs. Everything that reads the text must see
    /// the same one.
    private static func utf8(_ data: Data) throws -> Data {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = data.starts(with: mark) ? Data(data.dropFirst(mark.count)) : data
        // UTF-16 and UTF-32 put a NUL beside each ASCII character; JSON itself has none.
        guard !text.contains(0), String(validating: text, as: UTF8.self) != nil else {
            throw ConfigurationError(keyPath: "", problem: "not JSON in UTF-8: save the file in that encoding")
        }
        return text
    }

    init(path: String, value: Any) {
        self.path = path
        self.value = value
    }

    /// What stands there, for an error: never the value itself, it may be a secret.
    private var kind: String {
        switch value {
        case is NSNull: "null"
        case is [Any]: "an array"
        case is [String: Any]: "an object"
        case is String: "a string"
        case let number as NSNumber: CFBooleanTypeName.matches(number) ? "a boolean" : "a number"
        default: "something else"
        }
    }

    func fail(_ problem: String, isOutOfReach: Bool = false) -> ConfigurationError {
        ConfigurationError(keyPath: path, problem: problem, isOutOfReach: isOutOfReach)
    }

    var isNull: Bool { value is NSNull }

    /// The path of a key of this object.
    func key(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// The members of these keys; each other key is a mistake.
    /// - Returns: nil where it is no object, which is a mistake too.
    func object(keys: [String], collecting mistakes: inout MistakeList) -> [String: JSONNode]? {
        guard let object = value as? [String: Any] else {
            mistakes.add(fail("found \(kind), expected an object"))
            return nil
        }
        for key in object.keys.sorted() where !keys.contains(key) {
            mistakes.addOne {
                ConfigurationError(
                    keyPath: self.key(QuotedValue.key(key)),
                    problem: "unknown key; known here: \(keys.joined(separator: ", "))")
            }
        }
        return keys.reduce(into: [:]) { members, key in
            members[key] = object[key].map { JSONNode(path: self.key(key), value: $0) }
        }
    }

    func array() throws -> [JSONNode] {
        guard let array = value as? [Any] else { throw fail("found \(kind), expected an array") }
        return array.enumerated().map { JSONNode(path: "\(path)[\($0.offset)]", value: $0.element) }
    }

    func string() throws -> String {
        guard let string = value as? String else { throw fail("found \(kind), expected a string") }
        guard !string.isEmpty else { throw fail("found an empty string, expected a text") }
        return string
    }

    func choice<T: RawRepresentable & CaseIterable>(of type: T.Type) throws -> T where T.RawValue == String {
        let word = try string()
        guard let choice = T(rawValue: word) else {
            let choices = T.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
            throw fail("found \(QuotedValue.of(word)), expected \(choices)")
        }
        return choice
    }

    func duration() throws -> Duration {
        let text = try string()
        guard let duration = DurationText.parse(text) else {
            throw fail("found \(QuotedValue.of(text)), expected a duration such as \"500ms\", \"3s\" or \"1m30s\"")
        }
        guard duration > .zero else { throw fail("found \(QuotedValue.of(text)), expected more than zero") }
        return duration
    }
}

extension JSONNode {
    func flag() throws -> Bool {
        guard let number = value as? NSNumber, CFBooleanTypeName.matches(number) else {
            throw fail("found \(kind), expected true or false")
        }
        return number.boolValue
    }

    func count(in range: ClosedRange<Int>) throws -> Int {
        guard let number = value as? NSNumber, !CFBooleanTypeName.matches(number),
            let count = Int(exactly: number.doubleValue)
        else { throw fail("found \(kind), expected a whole number") }
        guard range.contains(count) else {
            throw fail("found \(count), expected \(range.lowerBound) to \(range.upperBound)")
        }
        return count
    }

    func byteCount(in range: ClosedRange<Int>) throws -> Int {
        let text = try string()
        guard let count = ByteCountText.parse(text) else {
            throw fail("found \(QuotedValue.of(text)), expected a size such as \"512KiB\" or \"16MiB\"")
        }
        guard range.contains(count) else {
            throw fail(
                "found \(QuotedValue.of(text)), expected \(ByteCountText.text(range.lowerBound)) to \(ByteCountText.text(range.upperBound))"
            )
        }
        return count
    }
}

/// On Linux a JSON boolean is an NSNumber too.
private enum CFBooleanTypeName {
    static func matches(_ number: NSNumber) -> Bool {
        String(cString: number.objCType) == "c" || String(cString: number.objCType) == "B"
    }
}

/// Sizes in binary units: `512KiB`, `16MiB`, `1GiB`.
enum ByteCountText {
    private static let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]

    static func parse(_ text: String) -> Int? {
        guard let (name, size) = units.first(where: { text.hasSuffix($0.0) }), text.utf8.count <= 9 else { return nil }
        let digits = text.dropLast(name.count)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(digits).map { $0 * size }
    }

    static func text(_ count: Int) -> String {
        guard let (name, size) = units.first(where: { count % $0.1 == 0 && count >= $0.1 }) else { return "\(count)" }
        return "\(count / size)\(name)"
    }
}

/// Durations as people write them: `500ms`, `3s`, `1m30s`, `2h`.
package enum DurationText {
    /// Units from the largest to the smallest, each at most once; nil for anything else, and beyond 10 years.
    package static func parse(_ text: String) -> Duration? {
        guard
            let match = text.wholeMatch(
                of: /(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m(?!s))?(?:([0-9]{1,6})s)?(?:([0-9]{1,9})ms)?/),
            !text.isEmpty
        else { return nil }
        func number(_ digits: Substring?) -> Int64 { digits.flatMap { Int64($0) } ?? 0 }
        let seconds = number(match.1) * 3600 + number(match.2) * 60 + number(match.3)
        let duration = Duration.seconds(seconds) + .milliseconds(number(match.4))
        return duration <= .seconds(10 * 365 * 86_400) ? duration : nil
    }

    /// To the millisecond, as `parse` reads it; less than one counts as one.
    static func exactText(_ duration: Duration) -> String {
        let parts = duration.components
        let millisecond = parts.attoseconds / 1_000_000_000_000_000
        let seconds = parts.seconds == 0 ? "" : text(.seconds(parts.seconds))
        let rest = seconds.isEmpty ? max(1, millisecond) : millisecond
        return rest == 0 ? seconds : "\(seconds)\(rest)ms"
    }

    /// In whole seconds, such as `24h`, `1h30m` or `59s`.
    package static func text(_ duration: Duration) -> String {
        let seconds = max(0, duration.components.seconds)
        let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")].filter { $0.0 > 0 }
        return parts.isEmpty ? "0s" : parts.map { "\($0.0)\($0.1)" }.joined()
    }
}
