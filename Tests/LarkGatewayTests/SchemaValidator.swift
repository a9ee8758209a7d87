import Foundation

/// A JSON text, read by a decoder that the configuration's reader does not use.
indirect enum JSONText: Decodable, Equatable {
    case null
    case boolean(Bool)
    case number(Double)
    case string(String)
    case array([JSONText])
    case object([String: JSONText])

    init(parsing text: String) throws {
        self = try JSONDecoder().decode(JSONText.self, from: Data(text.utf8))
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONText].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONText].self))
        }
    }

    subscript(_ key: String) -> JSONText? {
        if case .object(let members) = self { members[key] } else { nil }
    }

    var elements: [JSONText] {
        if case .array(let elements) = self { elements } else { [] }
    }

    var members: [String: JSONText] {
        if case .object(let members) = self { members } else { [:] }
    }

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var number: Double? {
        if case .number(let number) = self { number } else { nil }
    }
}

/// JSON Schema (draft 2020-12), as far as `SettingsSchema` uses it: sections 6 and 10 of "Validation" and "Core".
final class SchemaValidator {
    private let root: JSONText
    private var patterns: [String: Regex<AnyRegexOutput>] = [:]

    init(_ schema: JSONText) {
        root = schema
    }

    func accepts(_ text: String) throws -> Bool { try accepts(JSONText(parsing: text)) }

    func accepts(_ value: JSONText) throws -> Bool { try accepts(value, by: root) }

    /// A keyword that is not understood here proves nothing.
    struct UnknownKeyword: Error { let keyword: String }

    private func accepts(_ value: JSONText, by schema: JSONText) throws -> Bool {
        for (keyword, rule) in schema.members where try !keeps(value, keyword, rule, schema) { return false }
        return true
    }

    private func keeps(
        _ value: JSONText, _ keyword: String, _ rule: JSONText, _ schema: JSONText
    ) throws -> Bool {
        switch keyword {
        case "$schema", "title", "description", "default": return true
        case "type": return (rule.string.map { [$0] } ?? rule.elements.compactMap(\.string)).contains { has(value, $0) }
        case "enum": return rule.elements.contains(value)
        case "anyOf": return try rule.elements.contains { try accepts(value, by: $0) }
        case "minimum": return value.number.map { $0 >= rule.number ?? 0 } ?? true
        case "maximum": return value.number.map { $0 <= rule.number ?? 0 } ?? true
        case "minLength": return value.string.map { $0.unicodeScalars.count >= Int(rule.number ?? 0) } ?? true
        case "pattern":
            guard let text = value.string else { return true }
            return try text.firstMatch(of: pattern(rule.string ?? "")) != nil
        case "items": return try value.elements.allSatisfy { try accepts($0, by: rule) }
        case "properties":
            return try value.members.allSatisfy { key, member in
                try rule[key].map { try accepts(member, by: $0) } ?? true
            }
        case "additionalProperties":
            return rule != .boolean(false) || value.members.keys.allSatisfy { schema["properties"]?[$0] != nil }
        case "required":
            guard case .object(let members) = value else { return true }
            return rule.elements.compactMap(\.string).allSatisfy { members[$0] != nil }
        case "dependentRequired":
            return rule.members.allSatisfy { key, others in
                value[key] == nil || others.elements.compactMap(\.string).allSatisfy { value[$0] != nil }
            }
        default: throw UnknownKeyword(keyword: keyword)
        }
    }

    private func pattern(_ text: String) throws -> Regex<AnyRegexOutput> {
        if let known = patterns[text] { return known }
        let pattern = try Regex(text)
        patterns[text] = pattern
        return pattern
    }

    private func has(_ value: JSONText, _ type: String) -> Bool {
        switch value {
        case .null: type == "null"
        case .boolean: type == "boolean"
        case .number(let number): type == "number" || type == "integer" && number.rounded() == number
        case .string: type == "string"
        case .array: type == "array"
        case .object: type == "object"
        }
    }
}
