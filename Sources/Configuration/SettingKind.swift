import Foundation

/// What can be said of a kind of value without its type.
package struct SettingForm: Sendable {
    /// In the table, such as "duration" or "1 to 1000".
    let words: String
    /// What the schema demands of it.
    let schema: [(key: String, value: OrderedJSON)]
    /// In an error about a key that is missing.
    var expected = "a string"
    var isSecret = false
    /// It is no secret, and may stand where secrets stand.
    var mayNameSource = false
    /// The key's path ends with `[]`.
    var isList = false
    /// Of the object that the value, or each of its elements, is.
    var fields: [SettingRow] = []
}

/// A kind of value: how it is read, checked and shown.
struct SettingKind<Value: Sendable>: Sendable {
    var form: SettingForm
    /// - Throws: `ConfigurationError` with the node's path.
    let read: @Sendable (JSONNode, SettingReading) throws -> Value
    /// nil: not set. Not asked of a secret.
    let show: @Sendable (Value) -> OrderedJSON?

    init(
        _ words: String, schema: [(key: String, value: OrderedJSON)],
        read: @escaping @Sendable (JSONNode, SettingReading) throws -> Value,
        show: @escaping @Sendable (Value) -> OrderedJSON?
    ) {
        form = SettingForm(words: words, schema: schema)
        self.read = read
        self.show = show
    }

    /// The same kind, for a key that need not be set; nothing but its absence says so.
    static func optional<Wrapped>(_ kind: SettingKind<Wrapped>) -> Self where Value == Wrapped? {
        var optional = Self(
            kind.form.words, schema: kind.form.schema, read: { try kind.read($0, $1) }, show: { $0.flatMap(kind.show) })
        optional.form = kind.form
        return optional
    }

    /// The same kind of string, where null says something too.
    static func nullable<Wrapped>(_ kind: SettingKind<Wrapped>) -> Self where Value == Wrapped? {
        let schema = kind.form.schema.map { member in
            member.key == "type" ? (key: member.key, value: ["string", "null"]) : member
        }
        return Self(
            kind.form.words + " or `null`", schema: schema,
            read: { node, reading in node.isNull ? nil : try kind.read(node, reading) },
            show: { $0.map { kind.show($0) ?? .null } ?? .null })
    }

    static func list<Element>(of kind: SettingKind<Element>) -> Self where Value == [Element] {
        var list = Self(
            kind.form.words, schema: [("type", "array"), ("items", .object(kind.form.schema))],
            read: { node, reading in
                var mistakes = MistakeList()
                var elements: [Element] = []
                for element in try node.array() {
                    try mistakes.collect { elements.append(try kind.read(element, reading)) }
                }
                try mistakes.throwIfAny()
                return elements
            },
            show: { .array($0.compactMap(kind.show)) })
        list.form.expected = "an array"
        list.form.isSecret = kind.form.isSecret
        list.form.isList = true
        list.form.fields = kind.form.fields
        return list
    }

    /// An object with keys of its own.
    static func record<Keys>(_ keys: Keys.Type) -> Self where Value == SettingValues<Keys> {
        var record = Self(
            "object", schema: SettingsSchema.object(of: Keys.self),
            read: { node, reading in
                var mistakes = MistakeList()
                let values = try SettingValues<Keys>(reading: node, reading, collecting: &mistakes)
                try mistakes.throwIfAny()
                return values
            }, show: \.shown)
        record.form.expected = "an object"
        record.form.fields = SettingRow.rows(of: Keys.self)
        return record
    }
}

extension SettingKind where Value == String {
    static func text(_ words: String = "text") -> Self {
        Self(
            words, schema: [("type", "string"), ("minLength", .integer(1))], read: { node, _ in try node.string() },
            show: { .string($0) })
    }

    /// Text, or where it is read from.
    /// - Parameter check: throws what is wrong with the text, without quoting it.
    static func secret(_ check: @escaping @Sendable (String, JSONNode) throws -> Void = { _, _ in }) -> Self {
        SettingKind<String>.secret(literal: nil) { text, node in
            try check(text, node)
            return text
        }
    }
}

extension SettingKind {
    /// - Parameter literal: the pattern of what may stand in the file itself; nil: anything.
    static func secret(
        literal: String?, _ parse: @escaping @Sendable (String, JSONNode) throws -> Value
    ) -> Self {
        let pattern =
            literal.map { "^(\(Secret.referencePattern)|\($0))$" }
            ?? "^(\(Secret.referencePattern)$|(?!\(Secret.prefixPattern)))"
        var kind = Self(
            "secret", schema: [("type", "string"), ("minLength", .integer(1)), ("pattern", .string(pattern))],
            read: { node, reading in try parse(Secret.resolve(node, reading), node) },
            show: { _ in nil })
        kind.form.isSecret = true
        return kind
    }
}

extension SettingKind where Value == Duration {
    /// More than zero, at most 10 years.
    static var duration: Self {
        Self(
            "duration",
            schema: [
                ("type", "string"),
                (
                    "pattern",
                    "^(?=.*[1-9])([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,9}ms)?$"
                ),
            ],
            read: { node, _ in try node.duration() }, show: { .string(DurationText.exactText($0)) })
    }
}

extension SettingKind where Value == Bool {
    static var flag: Self {
        Self(
            "`true`, `false`", schema: [("type", "boolean")], read: { node, _ in try node.flag() },
            show: { .boolean($0) })
    }
}

extension SettingKind where Value == Int {
    static func count(_ range: ClosedRange<Int>) -> Self {
        Self(
            "\(range.lowerBound) to \(range.upperBound)",
            schema: [
                ("type", "integer"), ("minimum", .integer(range.lowerBound)), ("maximum", .integer(range.upperBound)),
            ],
            read: { node, _ in try node.count(in: range) }, show: { .integer($0) })
    }

    /// A size in bytes, written in binary units.
    static func size(_ range: ClosedRange<Int>) -> Self {
        Self(
            "size, \(ByteCountText.text(range.lowerBound)) to \(ByteCountText.text(range.upperBound))",
            schema: [("type", "string"), ("pattern", "^[0-9]{1,6}(KiB|MiB|GiB)$")],
            read: { node, _ in try node.byteCount(in: range) }, show: { .string(ByteCountText.text($0)) })
    }
}

extension SettingKind where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static var choice: Self {
        let words = Value.allCases.map { OrderedJSON.string($0.rawValue) }
        return Self(
            words.map { "`\($0.line)`" }.joined(separator: ", "),
            schema: [("type", "string"), ("enum", .array(words))],
            read: { node, _ in try node.choice(of: Value.self) }, show: { .string($0.rawValue) })
    }
}
